"""What could not be counted: kept 30 days, shown, never counted, replayable once mended.

A refused event sent again and again is one row, for the row's id is made of what was sent. Where
the sender may not know the organization, the event is answered but not kept: there is nobody to
show it to, and a replay would count what the sender had no right to send.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import blake2b
from uuid import UUID

from sqlalchemy import delete, select, tuple_
from sqlalchemy.dialects.postgresql import Insert
from sqlalchemy.ext.asyncio import AsyncSession

from billing.ids import OrgId
from billing.models import QuarantinedEvent
from billing.models.base import Json
from billing.rules.quantities import InvalidValue, exact_decimal, plain
from billing.usage.events import (
    EventVerdict,
    IncomingEvent,
    MalformedEvent,
    NumberText,
    excerpt_of,
)
from billing.usage.recording import Settled
from billing.usage.rows import as_given, insert_rows
from billing.usage.shapes import incoming_event

KEPT_FOR = timedelta(days=30)
EVENT_CHARACTERS_MAX = 65_536
"""CloudEvents 1.0, "Size Limits": what any intermediary forwards. Of more, an excerpt is kept."""

EXCERPT = "excerpt"
"""In the kept event only where it is not whole; such a one is shown, but never replayed."""

_REASON = ("org_id", "verdict", "code", "message")
_COLUMNS = ("id", *_REASON, "event", "recorded_at")


def _writing() -> Insert:
    statement = insert_rows(QuarantinedEvent, _COLUMNS)
    held, latest = QuarantinedEvent.__table__.c, statement.excluded
    return statement.on_conflict_do_update(
        index_elements=["id"],
        set_={name: latest[name] for name in _REASON},
        where=held.code != latest.code,
    )


_WRITE = _writing()


@dataclass(frozen=True, slots=True)
class Refused:
    """One row of the quarantine to be."""

    row_id: UUID
    org_id: OrgId | None
    verdict: EventVerdict
    event: Json
    received_at: datetime


async def keep_refused(session: AsyncSession, settled: Iterable[Settled]) -> None:
    """Keep what a request sent in vain."""
    refused = []
    for one in settled:
        submission = one.submission
        if not one.verdict.is_refused:
            continue
        sender = submission.sender
        org_id = sender.bound_to or one.org_id
        if org_id or sender.viewer.sees_all:
            event = _kept(submission.event)
            row_id = _row_id(sender.bound_to, event)
            refused.append(Refused(row_id, org_id, one.verdict, event, submission.received_at))
    await write_refused(session, refused)


async def write_refused(session: AsyncSession, refused: Iterable[Refused]) -> None:
    """Insert, or give a row that is there already its latest reason; its first receipt stays."""
    rows = {
        one.row_id: (
            one.row_id,
            one.org_id,
            one.verdict.verdict,
            one.verdict.code,
            one.verdict.message,
            one.event,
            one.received_at,
        )
        for one in refused
    }
    if not rows:
        return
    await session.execute(_WRITE, as_given(_COLUMNS, [rows[row_id] for row_id in sorted(rows)]))


async def purge_quarantine(session: AsyncSession, now: datetime) -> int:
    """Drop what was received over 30 days ago; answers how many."""
    dropped = await session.execute(
        delete(QuarantinedEvent)
        .where(QuarantinedEvent.recorded_at < now - KEPT_FOR)
        .returning(QuarantinedEvent.id)
    )
    return len(dropped.all())


async def quarantine_of(
    session: AsyncSession,
    org_id: OrgId,
    *,
    limit: int,
    before: tuple[datetime, UUID] | None = None,
) -> Sequence[QuarantinedEvent]:
    """One organization's refused events, newest first; `before` is the last one of a page."""
    place = tuple_(QuarantinedEvent.recorded_at, QuarantinedEvent.id)
    statement = select(QuarantinedEvent).where(QuarantinedEvent.org_id == org_id)
    if before is not None:
        statement = statement.where(place < before)
    newest = statement.order_by(QuarantinedEvent.recorded_at.desc(), QuarantinedEvent.id.desc())
    return (await session.scalars(newest.limit(limit))).all()


def restored(event: Json) -> IncomingEvent | MalformedEvent:
    """A whole kept event, as it was received."""
    time = event["time"]
    return incoming_event(
        id=event["id"],
        source=event["source"],
        type=event["type"],
        subject=event["subject"],
        time=datetime.fromisoformat(time) if time else None,
        data=event["data"],
    )


def _kept(event: IncomingEvent | MalformedEvent) -> Json:
    attributes: Json = {"id": event.id, "source": event.source}
    if isinstance(event, MalformedEvent):
        return attributes | {EXCERPT: event.excerpt}
    attributes |= {"type": event.type, "subject": event.subject}
    data = _exact(event.data or {})
    if len(text := json.dumps(data)) > EVENT_CHARACTERS_MAX:
        return attributes | {EXCERPT: excerpt_of(text)}
    time = event.time.isoformat() if event.time else None
    return attributes | {"time": time, "data": data}


def _exact(value: object) -> object:
    """Numbers as text, for JSON is read back into floats; they mean the same to every meter."""
    match value:
        case int() if not isinstance(value, bool):
            return str(value)
        case NumberText():
            try:
                return plain(exact_decimal(value, field="data"))
            except InvalidValue:
                return str(value)
        case Mapping():
            return {key: _exact(item) for key, item in value.items()}
        case list():
            return [_exact(item) for item in value]
        case _:
            return value


def _row_id(bound_to: OrgId | None, event: Json) -> UUID:
    sent = json.dumps([str(bound_to), event], sort_keys=True)
    return UUID(bytes=blake2b(sent.encode(), digest_size=16).digest())
