"""Control totals compared with what was counted: what a source says it sent, and what has come.

One that differs is looked at again, for usage may still be on its way; what differs 72 hours
after its hour is left as a gap, until its source says it anew.
"""

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from billing.catalog import meters
from billing.ids import MeterId, OrgId
from billing.rules.aggregation import Aggregation
from billing.runtime import Runtime
from billing.usage.folding import fold_tail
from billing.usage.shards import SHARDS, shard_of

log = logging.getLogger(__name__)

TOTALS_AT_ONCE = 500
HOURS_AT_ONCE = 6
"""A statement reads every reading of its hours: a busy platform has millions of them."""

PAUSE_MIN = timedelta(minutes=5)
PAUSE_MAX = timedelta(hours=6)
LOOKED_AT_FOR = timedelta(hours=72)

_HOUR = timedelta(hours=1)
_WITHOUT_SUM = frozenset({Aggregation.COUNT, Aggregation.UNIQUE_COUNT})
"""They read no number, so there is none to add up."""

# Whoever claims a total has it to themselves for a while: if they die, it is due again after that.
_CLAIM = """
UPDATE usage_control_totals SET next_check_at = $2
WHERE id IN (
    SELECT id FROM usage_control_totals WHERE NOT is_same AND next_check_at <= $1
    ORDER BY hour, id LIMIT $3 FOR UPDATE SKIP LOCKED
)
RETURNING id, source, org_id, hour, meter_id, event_count, total, checked_at, recorded_at
"""
_COUNT = """
WITH counted AS MATERIALIZED (
    SELECT hour, source, series_id, count(*) AS events, sum(quantity) AS total
    FROM usage_readings
    WHERE hour = ANY ($5) AND shard = ANY ($6) AND source = ANY ($2)
    GROUP BY hour, source, series_id
), by_meter AS MATERIALIZED (
    SELECT hour, source, meter_id, org_id, sum(events) AS events, sum(total) AS total
    FROM counted JOIN usage_series AS series ON series.id = counted.series_id
    GROUP BY hour, source, meter_id, org_id
)
SELECT said.id, coalesce(sum(by_meter.events), 0)::bigint AS events,
       coalesce(sum(by_meter.total), 0) AS total
FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::uuid[], $5::timestamptz[])
     AS said (id, source, org_id, meter_id, hour)
LEFT JOIN by_meter
  ON (by_meter.hour, by_meter.source, by_meter.meter_id) = (said.hour, said.source, said.meter_id)
 AND (said.org_id IS NULL OR said.org_id = by_meter.org_id)
GROUP BY said.id
"""
# What its source says anew meanwhile, or is just saying, is not what was compared.
_NOTE = """
UPDATE usage_control_totals AS said
SET counted_events = found.events, counted_total = found.total, is_same = found.is_same,
    checked_at = $7, next_check_at = found.next_check_at
FROM unnest($1::uuid[], $2::bigint[], $3::numeric[], $4::boolean[], $5::timestamptz[],
            $6::timestamptz[]) AS found (id, events, total, is_same, next_check_at, recorded_at)
WHERE said.id = found.id AND said.recorded_at = found.recorded_at AND said.id IN (
    SELECT id FROM usage_control_totals WHERE id = ANY ($1) FOR UPDATE SKIP LOCKED
)
RETURNING said.id
"""


@dataclass(frozen=True, slots=True)
class DueTotal:
    """A source's words about one hour of one meter, claimed to be compared."""

    id: UUID
    source: str
    org_id: OrgId | None
    hour: datetime
    meter_id: MeterId
    event_count: int
    total: Decimal
    checked_at: datetime | None
    recorded_at: datetime

    @property
    def due_at(self) -> datetime:
        """Since when it should have been right: its hour is over, and the source has said so."""
        return max(self.hour + _HOUR, self.recorded_at)

    def next_look(self, now: datetime) -> datetime | None:
        """When to look again if it differs `now`: ever later, and at last never."""
        last = self.hour + _HOUR + LOOKED_AT_FOR
        pause = min(max(now - self.due_at, PAUSE_MIN), PAUSE_MAX)
        return None if now >= last else min(now + pause, last)

    def is_news(self, now: datetime) -> bool:
        """Whether this look is the first that may call a difference a gap: not the very first.

        Events and heartbeats may come by different ways, a moment apart.
        """
        is_told = self.checked_at is not None and self.checked_at - self.due_at >= PAUSE_MIN
        return not is_told and (now - self.due_at >= PAUSE_MIN or self.next_look(now) is None)


@dataclass(frozen=True, slots=True)
class Compared:
    """A control total, and what was counted of it."""

    said: DueTotal
    events: int
    total: Decimal
    is_same: bool


async def check_control_totals(runtime: Runtime) -> int:
    """Compare every control total that is due, and answer how many were."""
    now = await runtime.now()
    checked = 0
    while due := await _claim(runtime, now):
        await fold_tail(runtime)
        for some in _by_hours(due):
            async with runtime.sessions.begin() as session:
                compared = await _compare(session, some)
                noted = await _note(session, compared, now)
            _warn([one for one in compared if one.said.id in noted], now)
        checked += len(due)
    return checked


async def _claim(runtime: Runtime, now: datetime) -> list[DueTotal]:
    async with runtime.sessions.begin() as session:
        connection = await session.connection()
        limits = (now, now + PAUSE_MIN, TOTALS_AT_ONCE)
        rows = await connection.exec_driver_sql(_CLAIM, limits)
        return [DueTotal(*tuple(row)) for row in rows]


def _by_hours(due: Iterable[DueTotal]) -> list[list[DueTotal]]:
    by_hour: dict[datetime, list[DueTotal]] = {}
    for one in sorted(due, key=lambda one: one.hour):
        by_hour.setdefault(one.hour, []).append(one)
    hours = list(by_hour.values())
    return [
        [one for hour in hours[at : at + HOURS_AT_ONCE] for one in hour]
        for at in range(0, len(hours), HOURS_AT_ONCE)
    ]


async def _compare(session: AsyncSession, due: Sequence[DueTotal]) -> list[Compared]:
    """One statement, so each reading is counted once however it is folded meanwhile."""
    aggregations = {meter.id: meter.aggregation for meter in await meters(session)}
    connection = await session.connection()
    # A plan for any arrays takes seconds where one for these takes milliseconds.
    await connection.exec_driver_sql("SET LOCAL plan_cache_mode = force_custom_plan")
    columns = (
        [one.id for one in due],
        [one.source for one in due],
        [one.org_id for one in due],
        [one.meter_id for one in due],
        [one.hour for one in due],
        _shards(due),
    )
    rows = {row.id: row for row in await connection.exec_driver_sql(_COUNT, columns)}
    return [_compared(one, rows[one.id].events, rows[one.id].total, aggregations) for one in due]


def _shards(due: Iterable[DueTotal]) -> list[int]:
    org_ids = {one.org_id for one in due}
    if None in org_ids:
        return list(range(SHARDS))
    return sorted({shard_of(org_id) for org_id in org_ids if org_id})


def _compared(
    said: DueTotal, events: int, total: Decimal, aggregations: Mapping[MeterId, Aggregation]
) -> Compared:
    is_sum_same = total == said.total or aggregations[said.meter_id] in _WITHOUT_SUM
    return Compared(said, events, total, is_sum_same and events == said.event_count)


async def _note(
    session: AsyncSession, compared: Collection[Compared], now: datetime
) -> frozenset[UUID]:
    """Write down what was found; answers the totals whose words still are those compared."""
    connection = await session.connection()
    columns = (
        [one.said.id for one in compared],
        [one.events for one in compared],
        [one.total for one in compared],
        [one.is_same for one in compared],
        [None if one.is_same else one.said.next_look(now) for one in compared],
        [one.said.recorded_at for one in compared],
        now,
    )
    return frozenset(row.id for row in await connection.exec_driver_sql(_NOTE, columns))


def _warn(compared: Iterable[Compared], now: datetime) -> None:
    """Once for each gap, a line for each source however many hours it lacks."""
    news: dict[str, list[Compared]] = {}
    for one in compared:
        if not one.is_same and one.said.is_news(now):
            news.setdefault(one.said.source, []).append(one)
    for source, gaps in news.items():
        first = gaps[0]
        log.warning(
            "usage of source %r differs from what it says in %s totals: of the hour %s it sent %s"
            " events, %s in sum, and %s have come, %s in sum",
            source,
            len(gaps),
            first.said.hour.isoformat(),
            first.said.event_count,
            first.said.total,
            first.events,
            first.total,
        )
