"""One batch into the tables, in a handful of statements whatever its size.

Every table is written in one order and each table's rows in theirs, so that batches at once wait
for each other but never in a circle.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func
from sqlalchemy.dialects.postgresql import Insert
from sqlalchemy.ext.asyncio import AsyncSession

from billing.accounts import Viewer
from billing.ids import OrgId
from billing.models import UsageEvent, UsageSource, Verdict
from billing.usage.buckets import add_to_buckets
from billing.usage.candidates import Candidate
from billing.usage.directory import read_directory
from billing.usage.events import EventVerdict, IncomingEvent
from billing.usage.identities import claim
from billing.usage.intake import Submission, judge
from billing.usage.rows import as_given, insert_rows

_EVENT = (
    "id",
    "org_id",
    "source",
    "external_id",
    "event_type",
    "occurred_at",
    "data",
    "recorded_at",
)
_LATEST = ("last_occurred_at", "last_recorded_at")
_SOURCE = ("org_id", "source", *_LATEST)


def _hearing() -> Insert:
    statement = insert_rows(UsageSource, _SOURCE)
    held, heard = UsageSource.__table__.c, statement.excluded
    return statement.on_conflict_do_update(
        index_elements=["org_id", "source"],
        set_={name: func.greatest(held[name], heard[name]) for name in _LATEST},
    )


_INSERT_EVENTS = insert_rows(UsageEvent, _EVENT)
_HEAR = _hearing()


@dataclass(frozen=True, slots=True)
class Settled:
    """A submission, what became of it, and whose it is where that is known."""

    submission: Submission
    verdict: EventVerdict
    org_id: OrgId | None


async def record(
    session: AsyncSession, viewer: Viewer, submissions: Sequence[Submission], now: datetime
) -> list[Settled]:
    """Judge a batch, and count what is accepted of it. In the same order."""
    events = [one.event for one in submissions if isinstance(one.event, IncomingEvent)]
    directory = await read_directory(
        session, viewer, {event.subject for event in events}, {event.type for event in events}
    )
    judged = [judge(place, one, directory) for place, one in enumerate(submissions)]
    candidates = [one for one in judged if isinstance(one, Candidate)]
    holders = await claim(session, candidates, now)
    verdicts = {one.place: one.verdict(holders.get(one.identity)) for one in candidates}
    await _count(
        session, [one for one in candidates if verdicts[one.place].verdict is Verdict.ACCEPTED], now
    )
    return [
        Settled(submission, verdicts[one.place], one.org_id)
        if isinstance(one, Candidate)
        else Settled(submission, one, None)
        for submission, one in zip(submissions, judged, strict=True)
    ]


async def _count(session: AsyncSession, accepted: Sequence[Candidate], now: datetime) -> None:
    if not accepted:
        return
    await _insert_events(session, accepted, now)
    await add_to_buckets(session, accepted, now)
    await _hear_of_sources(session, accepted, now)


async def _insert_events(
    session: AsyncSession, accepted: Sequence[Candidate], now: datetime
) -> None:
    rows = [
        (
            one.event_id,
            *one.identity,
            one.event.type,
            one.occurred_at,
            one.body.as_data(),
            now,
        )
        for one in accepted
    ]
    await session.execute(_INSERT_EVENTS, as_given(_EVENT, rows))


async def _hear_of_sources(
    session: AsyncSession, accepted: Sequence[Candidate], now: datetime
) -> None:
    """Last, for every request of a source meets at its row."""
    latest: dict[tuple[OrgId, str], datetime] = {}
    for one in accepted:
        key = (one.org_id, one.event.source)
        latest[key] = max(latest.get(key, one.occurred_at), one.occurred_at)
    rows = sorted((*key, occurred_at, now) for key, occurred_at in latest.items())
    await session.execute(_HEAR, as_given(_SOURCE, rows))
