"""The door through which usage comes in: recorded, or refused and kept, in one transaction."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar, cast
from uuid import UUID

from asyncpg import PostgresError
from sqlalchemy.exc import DBAPIError

from billing.accounts import Viewer
from billing.errors import Forbidden
from billing.ids import OrgId
from billing.models import Scope, Verdict
from billing.runtime import Runtime
from billing.usage.columns import microseconds_of
from billing.usage.desk import Desk, Learned
from billing.usage.events import Accepted, EventVerdict, IncomingEvent, MalformedEvent
from billing.usage.intake import Sender, Submission
from billing.usage.quarantine import keep_refused
from billing.usage.recording import Recorded, Settled, record
from billing.usage.scanning import Batch, Scan, unknown_subjects
from billing.usage.series import found_or_created
from billing.usage.usual import are_usual_senders, usual_batch
from billing.usage.wholesale import Unusual, record_usual

_DEADLOCK = "40P01"
_SERIALIZATION_FAILURE = "40001"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Delivery:
    """What one request brought, and who sent it."""

    events: Sequence[IncomingEvent | MalformedEvent]
    viewer: Viewer
    scan: Scan | None = None
    """The same events read for columns, where nothing about them is unusual by itself."""


async def record_usage(
    runtime: Runtime,
    events: Sequence[IncomingEvent | MalformedEvent],
    *,
    viewer: Viewer,
    now: datetime,
) -> list[EventVerdict]:
    """Count each event once, and say what became of each, in their order.

    What is accepted is durable, and in the next estimate, when this returns. Sending the same
    events again is always safe. Raises `Forbidden` for a key that may not write usage at all.
    """
    require_write(viewer)
    [verdicts] = await record_deliveries(runtime, [Delivery(events, viewer)], now=now)
    return list(verdicts)


async def record_deliveries(
    runtime: Runtime, deliveries: Sequence[Delivery], *, now: datetime
) -> list[Sequence[EventVerdict]]:
    """Several requests in one transaction: verdicts for each, in their order.

    Where it fails nothing of any of them is stored. Ask `require_write` of each viewer before.
    """
    if await _record_usual(runtime, deliveries, now):
        return [Accepted(cast(Sequence[IncomingEvent], one.events)) for one in deliveries]
    return await _record_each(runtime, deliveries, now)


async def _record_usual(runtime: Runtime, deliveries: Sequence[Delivery], now: datetime) -> bool:
    """Whether all of it was usual, and is recorded; else nothing of it is."""
    scans = [one.scan for one in deliveries if one.scan]
    if len(scans) < len(deliveries):
        return False
    desk = runtime.remembered(Desk)
    await _meet(runtime, desk, unknown_subjects(scans, desk.index))
    batch, stamp = usual_batch(desk, scans, now), desk.stamp
    if (
        batch is None
        or not are_usual_senders((one.viewer for one in deliveries), batch.organizations)
        or not batch.are_new_to(desk.recent)
    ):
        return False
    await _meet_series(runtime, desk, batch, now)
    try:
        await again_on_deadlock(lambda: record_usual(runtime, batch, stamp, now))
    except Unusual:
        return False
    desk.learn(Learned(heard=batch.heard, heard_at=microseconds_of(now)))
    await runtime.nudges.moved(OrgId(UUID(bytes=one)) for one in batch.org_ids())
    return True


async def _meet(runtime: Runtime, desk: Desk, subjects: set[str]) -> None:
    """Look up whom this process has not met yet, before anything else is read of the events."""
    if subjects:
        async with runtime.sessions() as session:
            await desk.look_up(session, subjects)


async def _meet_series(runtime: Runtime, desk: Desk, batch: Batch, now: datetime) -> None:
    """In a transaction of its own: a series without readings is in nobody's way."""
    if batch.unknown_series:
        async with runtime.sessions.begin() as session:
            found = await found_or_created(session, batch.unknown_series, now)
        desk.learn(Learned(series=found))
        batch.know(found)


async def _record_each(
    runtime: Runtime, deliveries: Sequence[Delivery], now: datetime
) -> list[Sequence[EventVerdict]]:
    """Every event judged by itself; what is refused of them is kept."""
    desk = runtime.remembered(Desk)
    submissions = [
        Submission(event, now, sender)
        for delivery in deliveries
        for sender in [Sender(delivery.viewer, delivery.viewer.org_id)]
        for event in delivery.events
    ]

    async def attempt() -> Recorded:
        async with runtime.sessions.begin() as session:
            recorded = await record(session, desk, submissions, now)
            await keep_refused(session, recorded.settled)
        return recorded

    recorded = await again_on_deadlock(attempt)
    desk.learn(recorded.learned)
    await runtime.nudges.moved(moved_by(recorded.settled))
    verdicts = iter([one.verdict for one in recorded.settled])
    return [[next(verdicts) for _ in delivery.events] for delivery in deliveries]


def require_write(viewer: Viewer) -> None:
    """Raise `Forbidden` for a key without `usage:write`; what a person may is asked per event."""
    is_person = viewer.user_id is not None
    if not (is_person or viewer.is_staff or Scope.USAGE_WRITE in viewer.scopes):
        raise Forbidden(f"This key does not have the scope {Scope.USAGE_WRITE}.")


def moved_by(settled: Iterable[Settled]) -> list[OrgId]:
    """The organizations whose figures have moved."""
    return list(
        {
            one.org_id: None
            for one in settled
            if one.org_id and one.verdict.verdict is Verdict.ACCEPTED
        }
    )


async def again_on_deadlock(attempt: Callable[[], Awaitable[T]]) -> T:
    """Once more when PostgreSQL chose us to break a deadlock: nothing of the first try is left.

    Our own writers sort what they lock; this is for those who do not, such as a person with psql.
    """
    try:
        return await attempt()
    except (DBAPIError, PostgresError) as error:  # the latter from a COPY, which is the driver's
        driven = getattr(error, "orig", error)
        if getattr(driven, "sqlstate", None) not in {_DEADLOCK, _SERIALIZATION_FAILURE}:
            raise
    return await attempt()
