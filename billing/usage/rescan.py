"""The audit path: usage counted once more from every single reading, in plain Python.

For `verify`, `asOf` and drill-down, never for a page: what the buckets say is not looked at, and
the answer must be the same. Readings are streamed; only sums are kept in memory.
"""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Row, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from billing.ids import MeterId, OrgId, SeriesId
from billing.models import Meter, UsageSeries
from billing.rules.aggregation import HELD_AGGREGATIONS, SeriesUsage
from billing.rules.periods import YEARS
from billing.usage.attached import require_attached
from billing.usage.shards import shard_of
from billing.usage.tallies import Tally
from billing.usage.totals import Dimensions, Found, by_meter, named

_FOREVER = datetime(YEARS[0], 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_ROWS_AT_ONCE = 5_000

# `usage_events` is every reading, folded or not. A void of later than `before` is not known yet.
_KNOWN = """
FROM usage_events AS reading
WHERE shard = :shard AND org_id = :org_id AND meter_id = ANY (CAST(:meters AS uuid[]))
  AND hour >= :first AND hour < :last
  AND recorded_at < coalesce(CAST(:before AS timestamptz), 'infinity')
  AND NOT EXISTS (
      SELECT FROM usage_voids AS void
      WHERE (void.series_id, void.hour, void.source, void.external_id)
          = (reading.series_id, reading.hour, reading.source, reading.external_id)
        AND void.recorded_at < coalesce(CAST(:before AS timestamptz), 'infinity')
  )
"""
_COUNTED = f"SELECT series_id, occurred_at, quantity, label {_KNOWN} AND form <> 'HELD'"
_HELD = f"""
SELECT series_id, occurred_at, quantity, label {_KNOWN} AND form = 'HELD'
ORDER BY series_id, occurred_at, source COLLATE "C", external_id COLLATE "C"
"""
_LAST = f"""
SELECT DISTINCT ON (series_id) series_id, occurred_at, quantity {_KNOWN} AND form = 'HELD'
  AND series_id = ANY (CAST(:wanted AS bigint[]))
ORDER BY series_id, occurred_at DESC, source COLLATE "C" DESC, external_id COLLATE "C" DESC
"""
_LATEST_MONTH = text("""
SELECT date_trunc('month', greatest(
    (SELECT max(hour) FROM usage_chunks WHERE shard = :shard AND form = 'HELD' AND hour < :last),
    (SELECT max(CAST(month AS timestamp) AT TIME ZONE 'UTC') FROM usage_tail
     WHERE shard = :shard AND form = 'HELD'
       AND CAST(month AS timestamp) AT TIME ZONE 'UTC' < :last)
), 'UTC')
""")


@dataclass(frozen=True, slots=True)
class _Scan:
    """Whose readings are read, over what time, and up to when they were recorded."""

    org_id: OrgId
    cuts: Sequence[datetime]
    meters: Mapping[MeterId, Meter]
    before: datetime | None

    def parameters(self, **more: object) -> dict[str, object]:
        return {
            "shard": shard_of(self.org_id),
            "org_id": self.org_id,
            "meters": list(self.meters),
            "first": self.cuts[0],
            "last": self.cuts[-1],
            "before": self.before,
            **more,
        }

    def is_held(self, meter_id: MeterId) -> bool:
        return self.meters[meter_id].aggregation in HELD_AGGREGATIONS


async def usage_from_readings(  # noqa: PLR0913 - as `usage_by_series`, and what was known when
    session: AsyncSession,
    org_id: OrgId,
    cuts: Sequence[datetime],
    meters: Mapping[MeterId, Meter],
    *,
    upto: datetime,
    known_at: datetime | None = None,
    is_known_at_included: bool = True,
) -> dict[str, list[SeriesUsage]]:
    """What `usage_by_series` answers, from the readings recorded by `known_at`, or from all.

    Readings need not be folded. Raises `Conflict` when some of them are in an archived month.
    """
    before = known_at + _MICROSECOND if known_at and is_known_at_included else known_at
    scan = _Scan(org_id, cuts, meters, before)
    series = await _series(session, scan)
    tallies = {
        series_id: Tally(cuts, upto, is_held=scan.is_held(meter_id))
        for series_id, (meter_id, _) in series.items()
    }
    since = await _start(session, scan, tallies)
    await require_attached(session, since, cuts[-1])
    numbers: dict[str, int] = {}
    async for rows in _readings(session, scan):
        for row in rows:
            if tally := tallies.get(row.series_id):  # else it is newer than the list of series
                label = row.label
                number = None if label is None else numbers.setdefault(label, len(numbers))
                tally.add(row.occurred_at, row.quantity, number)
    found: Found = {}
    for series_id, tally in tallies.items():
        if counted := tally.counted():
            found[series[series_id]] = counted
    return by_meter(found, meters)


async def _series(session: AsyncSession, scan: _Scan) -> dict[SeriesId, tuple[MeterId, Dimensions]]:
    rows = await session.execute(
        select(UsageSeries.id, UsageSeries.meter_id, UsageSeries.dimensions).where(
            UsageSeries.org_id == scan.org_id, UsageSeries.meter_id.in_(scan.meters)
        )
    )
    return {row.id: (row.meter_id, named(row.dimensions)) for row in rows}


async def _readings(session: AsyncSession, scan: _Scan) -> AsyncIterator[Sequence[Row[Any]]]:
    """Every reading between the first and the last cut; the held come in order of time.

    Some at once, for each wait costs more than what is done with a row.
    """
    for statement in (_COUNTED, _HELD):
        rows = await session.stream(
            text(statement), scan.parameters(), execution_options={"yield_per": _ROWS_AT_ONCE}
        )
        async for some in rows.partitions(_ROWS_AT_ONCE):
            yield some


async def _start(
    session: AsyncSession, scan: _Scan, tallies: Mapping[SeriesId, Tally]
) -> dict[SeriesId, datetime]:
    """Give held series what they hold at the first cut; answers since when each is read.

    It is their last reading before, however old: looked for month by month, backwards.
    """
    since = dict.fromkeys(tallies, scan.cuts[0])
    wanted = {series_id for series_id, tally in tallies.items() if tally.is_held}
    end = scan.cuts[0]
    while wanted and (month := await _latest_month(session, scan, end)):
        for row in await _last_readings(session, scan, wanted, (month, end)):
            tallies[row.series_id].start(row.quantity)
            since[row.series_id] = row.occurred_at
            wanted.discard(row.series_id)
        end = month
    return since | dict.fromkeys(wanted, _FOREVER)


async def _latest_month(session: AsyncSession, scan: _Scan, end: datetime) -> datetime | None:
    """The start of the last month before `end` that holds anybody's held readings."""
    found: datetime | None = await session.scalar(_LATEST_MONTH, scan.parameters(last=end))
    return found


async def _last_readings(
    session: AsyncSession,
    scan: _Scan,
    wanted: Collection[SeriesId],
    span: tuple[datetime, datetime],
) -> Sequence[Row[Any]]:
    asked = scan.parameters(wanted=list(wanted), first=span[0], last=span[1])
    return (await session.execute(text(_LAST), asked)).all()
