"""The inbox: every verified event, once, before anything is done about it."""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from billing.errors import Invalid
from billing.models import EventOrigin, Outcome, StripeEvent
from billing.stripe_wire import API_VERSION

log = logging.getLogger(__name__)

_INSTANT_MAX = 253_402_300_799
"""The last second that a datetime can hold."""


async def receive(
    session: AsyncSession,
    body: Mapping[str, object],
    now: datetime,
    *,
    is_live: bool = False,
    origin: EventOrigin = EventOrigin.WEBHOOK,
) -> bool:
    """Put a verified event into the inbox; False when it is there already.

    Takes snapshot events (`event`) and thin ones (`v2.core.event`). One of the other mode, live or
    test, or of another account is kept as IGNORED with its reason, so that Stripe need not send it
    again and staff can see it. Raises `Invalid` for what is no event.
    """
    row = _row_of(body, now) | {"origin": origin}
    foreign = _foreign(body, is_live=is_live)
    if foreign is not None:
        row |= {"handled_at": now, "outcome": Outcome.IGNORED, "reason": foreign}
    added = await session.scalar(
        insert(StripeEvent).values(**row).on_conflict_do_nothing().returning(StripeEvent.id)
    )
    if added is not None:
        _warn(row)
    return added is not None


def is_of_another_version(api_version: str | None) -> bool:
    """Whether an endpoint was made for another API version; thin events have none.

    Nothing of the payload is used, so such an event is handled all the same: it only shows that the
    endpoint was set up by hand.
    """
    return api_version is not None and api_version != API_VERSION


def _warn(row: Mapping[str, object]) -> None:
    if row.get("outcome") is Outcome.IGNORED:
        log.warning("stripe event %s ignored: %s", row["id"], row["reason"])
    version = row["api_version"]
    if isinstance(version, str) and is_of_another_version(version):
        log.warning(
            "stripe event %s is of API version %s, not %s: make the webhook endpoint anew",
            row["id"],
            version,
            API_VERSION,
        )


def _foreign(body: Mapping[str, object], *, is_live: bool) -> str | None:
    """Why an event is none of ours; None when it is.

    Our own account's events name no account: `account` and `context` are those of connected ones.
    """
    if body.get("livemode", is_live) is not is_live:
        return f"of the other mode: we are in {'live' if is_live else 'test'} mode"
    for name in ("account", "context"):
        if body.get(name):
            return f"of another account: {str(body[name])[:80]}"
    return None


def _row_of(body: Mapping[str, object], now: datetime) -> dict[str, object]:
    match body:
        case {
            "object": "event",
            "id": str(id_),
            "type": str(type_),
            "data": {"object": dict(about)},
        }:
            occurred_at = _instant(body.get("created"), now)
        case {"object": "v2.core.event", "id": str(id_), "type": str(type_)}:
            related = body.get("related_object")
            about = related if isinstance(related, dict) else {}
            occurred_at = _instant(body.get("created"), now)
        case _:
            raise Invalid("This is not a Stripe event.", code="INVALID_EVENT")
    version = body.get("api_version")
    object_id = about.get("id")
    texts = (id_, type_, version or "", object_id or "")
    if any(isinstance(text, str) and not text.isprintable() for text in texts):
        raise Invalid("This is not a Stripe event.", code="INVALID_EVENT")  # PostgreSQL: no NUL
    return {
        "id": id_,
        "type": type_.removeprefix("v1."),
        "object_id": object_id if isinstance(object_id, str) else None,
        "api_version": version if isinstance(version, str) else None,
        "occurred_at": occurred_at,
        "received_at": now,
        "attempts": 0,
        "next_attempt_at": now,
    }


def _instant(created: object, now: datetime) -> datetime:
    """Snapshot events tell unix seconds, thin ones ISO 8601; only for people to read."""
    if isinstance(created, int) and not isinstance(created, bool) and 0 <= created <= _INSTANT_MAX:
        return datetime.fromtimestamp(created, UTC)
    if isinstance(created, str):
        try:
            return datetime.fromisoformat(created).astimezone(UTC)
        except (ValueError, OverflowError):
            return now
    return now
