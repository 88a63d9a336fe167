"""One batch into the tables, in a handful of statements whatever its size.

Every table is written in one order and each table's rows in theirs, so that batches at once wait
for each other but never in a circle.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from billing.errors import Conflict
from billing.ids import OrgId
from billing.models import Verdict
from billing.usage.candidates import Candidate
from billing.usage.columns import microseconds_of
from billing.usage.desk import Desk, Learned
from billing.usage.events import EventVerdict, MalformedEvent
from billing.usage.identities import claim
from billing.usage.intake import Sender, Submission, judge
from billing.usage.months import archived_months, may_be_archived, month_of
from billing.usage.series import series_of
from billing.usage.sources import hear_of_sources, news_of
from billing.usage.suggestions import near_event_types, near_organizations
from billing.usage.tail import append_to_tail


class Settled(msgspec.Struct, frozen=True, gc=False):
    """A submission, what became of it, and whose it is where that is known."""

    submission: Submission
    verdict: EventVerdict
    org_id: OrgId | None


class Recorded(msgspec.Struct, frozen=True):
    """A batch, settled in its order, and what the desk may remember once it has committed."""

    settled: Sequence[Settled]
    learned: Learned


async def record(
    session: AsyncSession, desk: Desk, submissions: Sequence[Submission], now: datetime
) -> Recorded:
    """Judge a batch, and count what is accepted of it."""
    near = await _look_up(session, desk, submissions)
    judged = [judge(place, one, desk, near) for place, one in enumerate(submissions)]
    judged = await _without_archived(session, judged, now)
    candidates = [one for one in judged if isinstance(one, Candidate)]
    connection = await session.connection()
    holders = await claim(connection, candidates)
    settled: list[Settled] = []
    counted: list[Candidate] = []
    for submission, one in zip(submissions, judged, strict=True):
        if not isinstance(one, Candidate):
            settled.append(Settled(submission, one, None))
            continue
        verdict = one.verdict(holders.get(one.key))
        if verdict.verdict is Verdict.ACCEPTED:
            counted.append(one)
        settled.append(Settled(submission, verdict, one.organization.id))
    return Recorded(settled, await _count(session, desk, counted, now))


async def _without_archived(
    session: AsyncSession, judged: list[Candidate | EventVerdict], now: datetime
) -> list[Candidate | EventVerdict]:
    """Refuse what belongs to an archived month; whether there is one is asked for old events only.

    Gauges are never too old, and a replay judges by the first receipt.
    """
    oldest = min([one.occurred_at for one in judged if isinstance(one, Candidate)], default=now)
    if not may_be_archived(oldest, now) or not (archived := await archived_months(session)):
        return judged
    return [
        one.refused_for(_archived(one))
        if isinstance(one, Candidate) and month_of(one.occurred_at) in archived
        else one
        for one in judged
    ]


def _archived(candidate: Candidate) -> Conflict:
    return Conflict(
        f"{candidate.occurred_at:%Y-%m} is archived: nothing can be counted into it.",
        code="MONTH_ARCHIVED",
        field="time",
    )


async def _look_up(
    session: AsyncSession, desk: Desk, submissions: Iterable[Submission]
) -> dict[str, str]:
    """Everything the batch is judged by; answers what unknown event types may have meant."""
    subjects: dict[int, set[str]] = {}
    senders: dict[int, Sender] = {}
    types: set[str] = set()
    last: Sender | None = None
    keys: set[str] = set()
    for one in submissions:
        if isinstance(event := one.event, MalformedEvent):
            continue
        if one.sender is not last:
            last = one.sender
            senders[id(last)] = last
            keys = subjects.setdefault(id(last), set())
        keys.add(event.subject)
        types.add(event.type)
    await desk.look_up(session, set().union(*subjects.values()))
    for number, sender in senders.items():
        if unknown := sender.unseen(subjects[number], desk.organizations):
            near = await near_organizations(session, sender.viewer, unknown)
            sender.near_organizations.update(near)
    return near_event_types(types - desk.event_types.keys(), desk.event_types)


async def _count(
    session: AsyncSession, desk: Desk, counted: Sequence[Candidate], now: datetime
) -> Learned:
    learned = Learned()
    if counted:
        series_ids, learned.series = await series_of(session, desk, counted, now)
        await append_to_tail(await session.connection(), counted, series_ids, now)
        heard = [
            (one.organization, one.event.source, microseconds_of(one.occurred_at))
            for one in counted
        ]
        learned.heard_at = microseconds_of(now)
        learned.heard = news_of(desk.index, heard, learned.heard_at)
        await hear_of_sources(session, learned.heard, now)
    return learned
