"""Voids: what was counted by mistake is taken back, by a booking and never by a delete.

An event's readings stay where they are, and its identity stays used; `usage_voids` says that they
no longer count, and their hours are counted again without them.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from billing.accounts import Viewer
from billing.audit import record_act
from billing.errors import BillingError, Invalid, NotFound
from billing.ids import OrgId, SeriesId
from billing.models import LateUsage, UsageIdentity, UsageVoid
from billing.rules.periods import floor_hour, utc_day
from billing.runtime import Runtime, Sessions
from billing.usage.desk import Desk
from billing.usage.events import printable
from billing.usage.folding import fold_shard, lock_shard
from billing.usage.intake import AGE_MAX
from billing.usage.recounting import Place, recount
from billing.usage.store import again_on_deadlock, require_write
from billing.usage.void_requests import (
    Target,
    Voiding,
    VoidRequest,
    VoidVerdict,
    addressed,
    rejected,
)

__all__ = ["REASON_CHARACTERS_MAX", "VoidRequest", "VoidVerdict", "Voiding", "void_usage"]

REASON_CHARACTERS_MAX = 500

# Materialized, so that each chunk is unpacked once, not once for each event that is looked for.
_BOOK = """
WITH found AS MATERIALIZED (
    SELECT chunk.hour, each.series_id, each.source, each.external_id
    FROM usage_chunks AS chunk, unnest(chunk.series_ids, chunk.sources, chunk.external_ids)
         AS each (series_id, source, external_id)
    WHERE chunk.shard = $1 AND chunk.hour = ANY ($2) AND each.external_id = ANY ($7::text[])
)
INSERT INTO usage_voids (series_id, hour, source, external_id, key, reason, actor, recorded_at)
SELECT found.series_id, found.hour, found.source, found.external_id, wanted.key, $8, $9, $10
FROM found
JOIN unnest($3::uuid[], $4::uuid[], $5::timestamptz[], $6::text[], $7::text[])
     AS wanted (key, org_id, hour, source, external_id)
  ON (wanted.hour, wanted.source, wanted.external_id)
   = (found.hour, found.source, found.external_id)
JOIN usage_series AS series ON series.id = found.series_id AND series.org_id = wanted.org_id
ORDER BY 1, 2, 3, 4
RETURNING series_id, hour, key
"""


_PLAN_BY_LENGTH = text("SET LOCAL plan_cache_mode = force_custom_plan")
"""A plan for arrays of any length takes them for short, and looks at each void for each reading."""


@dataclass(frozen=True, slots=True)
class _Act:
    """Who voids, why, and when."""

    viewer: Viewer
    reason: str
    now: datetime

    def may_void(self, occurred_at: datetime) -> bool:
        return self.viewer.is_staff or self.now - occurred_at <= AGE_MAX


async def void_usage(
    runtime: Runtime, wanted: Sequence[VoidRequest], *, reason: str, viewer: Viewer, now: datetime
) -> list[VoidVerdict]:
    """Count each of these events no longer, and say what became of each request, in their order.

    Estimates are without them when this returns; asking again is always safe, for what one
    attempt has voided the next finds so. Whoever may write usage voids what is up to 34 days old,
    staff anything. Raises `Forbidden` for a key that may not write usage, `Invalid` for the reason.
    """
    require_write(viewer)
    act = _Act(viewer, _usable(reason), now)
    desk = runtime.remembered(Desk)
    verdicts: dict[int, VoidVerdict] = {}
    by_shard: dict[int, list[Target]] = {}
    async with runtime.sessions() as session:
        for place, one in enumerate(await addressed(session, desk, wanted, viewer)):
            if isinstance(one, Target):
                by_shard.setdefault(one.org.shard, []).append(one)
            else:
                verdicts[place] = one
    for shard, targets in sorted(by_shard.items()):
        verdicts |= await again_on_deadlock(
            partial(_void_in_shard, runtime.sessions, shard, targets, act)
        )
    orgs = {one.place: one.org.id for targets in by_shard.values() for one in targets}
    await runtime.nudges.moved(_moved(verdicts, orgs))
    return [verdicts[place] for place in range(len(wanted))]


def _usable(reason: str) -> str:
    if not (stripped := printable(reason).strip()):
        raise Invalid("Say why: a void needs a reason.", code="MISSING_REASON", field="reason")
    if len(stripped) > REASON_CHARACTERS_MAX:
        raise Invalid(
            f"reason may have at most {REASON_CHARACTERS_MAX} characters.", field="reason"
        )
    return stripped


def _moved(verdicts: Mapping[int, VoidVerdict], orgs: Mapping[int, OrgId]) -> list[OrgId]:
    voided = (place for place, one in verdicts.items() if one.verdict is Voiding.VOIDED)
    return list(dict.fromkeys(orgs[place] for place in voided))


async def _void_in_shard(
    sessions: Sessions, shard: int, targets: Sequence[Target], act: _Act
) -> dict[int, VoidVerdict]:
    """One transaction's, under the shard's lock: of voids at once, one is the first.

    Identities are read before the fold. Whatever is known by then is in the tail or in chunks, so
    after the fold its readings are in chunks, unless their month is archived.
    """
    known = await _occurred_at(sessions, targets)
    await fold_shard(sessions, shard)
    async with sessions.begin() as session:
        await lock_shard(session, shard)
        await session.execute(_PLAN_BY_LENGTH)
        before = await _voided_before(session, known)
        first = {
            one.key: one
            for one in reversed(targets)
            if one.key in known and one.key not in before and act.may_void(known[one.key])
        }
        voided = await _void(await session.connection(), shard, first.values(), known, act)
        days = {(first[key].org.id, utc_day(known[key])) for key in voided}
        session.add_all(
            LateUsage(org_id=org_id, day=day) for org_id, day in days if day < utc_day(act.now)
        )
        await _leave_trace(session, [first[key] for key in voided], act)
    verdicts = {}
    for one in targets:
        if one.key in voided and first[one.key] is one:
            verdict = VoidVerdict(Voiding.VOIDED, one.request)
        elif one.key in voided or one.key in before:
            verdict = VoidVerdict(Voiding.ALREADY_VOIDED, one.request)
        else:
            verdict = rejected(one.request, _why_not(known.get(one.key), one, act))
        verdicts[one.place] = verdict
    return verdicts


def _why_not(occurred_at: datetime | None, target: Target, act: _Act) -> BillingError:
    if occurred_at is None:
        return NotFound(
            f"No event of {target.request.subject} has this source and id.",
            code="UNKNOWN_EVENT",
            field="id",
        )
    if not act.may_void(occurred_at):
        return Invalid(
            f"The event's time is more than {AGE_MAX.days} days ago: only staff may void it.",
            code="TOO_OLD_TO_VOID",
            field="id",
        )
    return Invalid(
        f"The events of {occurred_at:%Y-%m} are archived: the month must be attached first.",
        code="ARCHIVED",
        field="id",
    )


async def _occurred_at(sessions: Sessions, targets: Iterable[Target]) -> dict[UUID, datetime]:
    columns = select(UsageIdentity.key, UsageIdentity.occurred_at)
    async with sessions() as session:
        rows = await session.execute(
            columns.where(UsageIdentity.key.in_({one.key for one in targets}))
        )
        return {row.key: row.occurred_at for row in rows}


async def _voided_before(session: AsyncSession, keys: Collection[UUID]) -> frozenset[UUID]:
    return frozenset(await session.scalars(select(UsageVoid.key).where(UsageVoid.key.in_(keys))))


async def _void(
    connection: AsyncConnection,
    shard: int,
    targets: Collection[Target],
    known: Mapping[UUID, datetime],
    act: _Act,
) -> frozenset[UUID]:
    """Book a void for each reading, and count their hours again; answers the events that had any.

    Without readings is only what is archived: nothing is accepted that adds to no meter.
    """
    if not targets:
        return frozenset()
    hours = [floor_hour(known[one.key]) for one in targets]
    booked = await connection.exec_driver_sql(
        _BOOK,
        (
            shard,
            sorted(set(hours)),
            [one.key for one in targets],
            [one.org.id for one in targets],
            hours,
            [one.request.source for one in targets],
            [one.request.id for one in targets],
            act.reason,
            act.viewer.actor,
            act.now,
        ),
    )
    rows = booked.all()
    places = {Place(SeriesId(row.series_id), row.hour) for row in rows}
    await recount(connection, shard, list(places))
    return frozenset(row.key for row in rows)


async def _leave_trace(session: AsyncSession, voided: Iterable[Target], act: _Act) -> None:
    """One act for each organization; which events they were, `usage_voids` says."""
    by_org: dict[OrgId, list[Target]] = {}
    for one in voided:
        by_org.setdefault(one.org.id, []).append(one)
    for org_id, events in by_org.items():
        await record_act(
            session,
            actor=act.viewer.actor,
            action="usage.voided",
            subject=events[0].request.subject,
            org_id=org_id,
            details={"events": len(events), "reason": act.reason},
            now=act.now,
        )
