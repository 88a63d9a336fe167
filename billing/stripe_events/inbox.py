"""The inbox: every verified event, once, before anything is done about it."""

from collections.abc import Mapping
from datetime import UTC, datetime

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from billing.errors import Invalid
from billing.models import StripeEvent


async def receive(session: AsyncSession, body: Mapping[str, object], now: datetime) -> bool:
    """Put a verified event into the inbox; False when it is there already.

    Takes snapshot events (`event`) and thin ones (`v2.core.event`). Raises `Invalid` for anything
    else.
    """
    row = _row_of(body, now)
    added = await session.scalar(
        insert(StripeEvent).values(**row).on_conflict_do_nothing().returning(StripeEvent.id)
    )
    return added is not None


def _row_of(body: Mapping[str, object], now: datetime) -> dict[str, object]:
    match body:
        case {
            "object": "event",
            "id": str(id_),
            "type": str(type_),
            "data": {"object": dict(about)},
        }:
            created = body.get("created")
            occurred_at = datetime.fromtimestamp(created, UTC) if isinstance(created, int) else now
        case {"object": "v2.core.event", "id": str(id_), "type": str(type_)}:
            related = body.get("related_object")
            about = related if isinstance(related, dict) else {}
            occurred_at = now
        case _:
            raise Invalid("This is not a Stripe event.", code="INVALID_EVENT")
    version = body.get("api_version")
    return {
        "id": id_,
        "type": type_.removeprefix("v1."),
        "object_id": about.get("id") if isinstance(about.get("id"), str) else None,
        "api_version": version if isinstance(version, str) else None,
        "occurred_at": occurred_at,
        "received_at": now,
        "attempts": 0,
        "next_attempt_at": now,
    }
