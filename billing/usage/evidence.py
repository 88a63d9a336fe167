"""What stands behind a quantity: the hours it came from, and the events behind those.

For drill-down. An event's readings stay when it is voided: they are shown, with the reason.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

from sqlalchemy import Row, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from billing.ids import OrgId, SeriesId
from billing.models import Meter, UsageSeries
from billing.rules.aggregation import value_of
from billing.rules.periods import Period, floor_hour
from billing.usage.attached import require_attached
from billing.usage.curves import Interval, Spacing, usage_over_time
from billing.usage.rescan import usage_from_readings
from billing.usage.shards import shard_of

PAGE_SIZE_MAX = 1_000

Matches = Callable[[Mapping[str, str]], bool]
"""Whether a series with these dimensions is meant."""

_HOUR = timedelta(hours=1)
_WIDER = 4
"""How much longer the next stretch of time is, when the one before did not fill the page."""

_EVENTS = text("""
SELECT reading.series_id, reading.external_id, reading.source, reading.occurred_at,
       reading.recorded_at, reading.quantity, reading.label,
       void.reason, void.recorded_at AS voided_at
FROM usage_events AS reading
LEFT JOIN usage_voids AS void ON (void.series_id, void.hour, void.source, void.external_id)
    = (reading.series_id, reading.hour, reading.source, reading.external_id)
  AND void.recorded_at <= coalesce(CAST(:known_at AS timestamptz), 'infinity')
WHERE reading.shard = :shard AND reading.series_id = ANY (CAST(:ids AS bigint[]))
  AND reading.hour >= :first AND reading.hour < :last
  AND reading.recorded_at <= coalesce(CAST(:known_at AS timestamptz), 'infinity')
  AND (CAST(:at AS timestamptz) IS NULL
       OR (reading.occurred_at, reading.source COLLATE "C", reading.external_id COLLATE "C")
        > (CAST(:at AS timestamptz), CAST(:source AS text), CAST(:id AS text)))
ORDER BY reading.occurred_at, reading.source COLLATE "C", reading.external_id COLLATE "C"
LIMIT :limit
""")


@dataclass(frozen=True, slots=True)
class EventPosition:
    """Where an event stands among a meter's: by time, ties by source and id."""

    occurred_at: datetime
    source: str
    id: str


@dataclass(frozen=True, slots=True)
class EventBehind:
    """What one event added to one meter; `void_reason` says why it counts no longer."""

    id: str
    source: str
    occurred_at: datetime
    recorded_at: datetime
    quantity: Decimal
    label: str | None
    dimensions: Mapping[str, str]
    voided_at: datetime | None
    void_reason: str | None

    @property
    def is_voided(self) -> bool:
        """Whether it counts no longer."""
        return self.voided_at is not None

    @property
    def position(self) -> EventPosition:
        """What the next page is asked for with, when this is a page's last."""
        return EventPosition(self.occurred_at, self.source, self.id)


@dataclass(frozen=True, slots=True)
class EventPage:
    """Some of a meter's events, oldest first."""

    events: Sequence[EventBehind]
    has_more: bool


@dataclass(frozen=True, slots=True)
class HourBehind:
    """What one hour came to by its meter's aggregation; no events where values were only held."""

    hour: datetime
    quantity: Fraction
    event_count: int


@dataclass(frozen=True, slots=True)
class HourPage:
    """Some of a meter's hours, oldest first."""

    hours: Sequence[HourBehind]
    has_more: bool


def any_series(_dimensions: Mapping[str, str]) -> bool:
    """Every series of the meter is meant."""
    return True


async def events_behind(  # noqa: PLR0913 - what is asked for, and which page of it
    session: AsyncSession,
    org_id: OrgId,
    meter: Meter,
    span: Period,
    *,
    matches: Matches = any_series,
    known_at: datetime | None = None,
    limit: int,
    after: EventPosition | None = None,
) -> EventPage:
    """One meter's events, oldest first, folded or not, of the series that are meant.

    Given `known_at`, as it was then: what was recorded or voided later was not. Raises `Conflict`
    when some of them are in an archived month.
    """
    limit = min(limit, PAGE_SIZE_MAX)
    series = await _series(session, org_id, meter, matches)
    await require_attached(session, dict.fromkeys(series, span.start), span.end)
    rows: list[Row[Any]] = []
    start = max(span.start, floor_hour(after.occurred_at)) if after else span.start
    width = _HOUR
    while series and start < span.end and len(rows) <= limit:
        end = min(start + width, span.end)
        asked = {
            "shard": shard_of(org_id),
            "ids": list(series),
            "first": start,
            "last": end,
            "at": after and after.occurred_at,
            "source": after and after.source,
            "id": after and after.id,
            "known_at": known_at,
            "limit": limit + 1 - len(rows),
        }
        rows += (await session.execute(_EVENTS, asked)).all()
        start, width = end, width * _WIDER
    return EventPage([_event(row, series) for row in rows[:limit]], len(rows) > limit)


async def _series(
    session: AsyncSession, org_id: OrgId, meter: Meter, matches: Matches
) -> dict[SeriesId, Mapping[str, str]]:
    rows = await session.execute(
        select(UsageSeries.id, UsageSeries.dimensions).where(
            UsageSeries.org_id == org_id,
            UsageSeries.meter_id == meter.id,
        )
    )
    return {row.id: row.dimensions for row in rows if matches(row.dimensions)}


def _event(row: Row[Any], series: Mapping[SeriesId, Mapping[str, str]]) -> EventBehind:
    return EventBehind(
        row.external_id,
        row.source,
        row.occurred_at,
        row.recorded_at,
        row.quantity,
        row.label,
        series[row.series_id],
        row.voided_at,
        row.reason,
    )


async def hours_behind(  # noqa: PLR0913 - what is asked for, and which page of it
    session: AsyncSession,
    org_id: OrgId,
    meter: Meter,
    span: Period,
    *,
    upto: datetime,
    matches: Matches = any_series,
    known_at: datetime | None = None,
    limit: int,
    after: datetime | None = None,
) -> HourPage:
    """One meter's hours, oldest first, of the series that are meant; `after` is an hour.

    From the buckets. What is held is there for every hour it is held in, to `upto`, usually now.
    Given `known_at`, as it was then: from the readings, for the buckets have what came later too;
    raises `Conflict` when some of these are in an archived month.
    """
    limit = min(limit, PAGE_SIZE_MAX)
    start = max(span.start, after + _HOUR) if after else span.start
    if start >= span.end:
        return HourPage([], has_more=False)
    rest = Period(start, span.end)
    if known_at is not None:
        known = _Known(meter, matches, upto, known_at)
        hours = await _known_hours(session, org_id, known, rest, limit + 1)
    else:
        series = list(await _series(session, org_id, meter, matches))
        spacing = Spacing(Interval.HOUR, limit + 1, series=series)
        points = await usage_over_time(session, org_id, meter, rest, spacing, upto=upto)
        hours = [HourBehind(point.start, point.quantity, point.event_count) for point in points]
    return HourPage(hours[:limit], len(hours) > limit)


@dataclass(frozen=True, slots=True)
class _Known:
    meter: Meter
    matches: Matches
    upto: datetime
    at: datetime


async def _known_hours(
    session: AsyncSession, org_id: OrgId, known: _Known, span: Period, wanted: int
) -> list[HourBehind]:
    """At least as many as are wanted, or all: no more of the time is read than that takes."""
    hours: list[HourBehind] = []
    start, width = span.start, _HOUR * wanted
    while start < span.end and len(hours) < wanted:
        end = min(start + width, span.end)
        hours += await _counted_again(session, org_id, known, Period(start, end))
        start, width = end, width * _WIDER
    return hours


async def _counted_again(
    session: AsyncSession, org_id: OrgId, known: _Known, span: Period
) -> list[HourBehind]:
    """Every hour of a stretch of time in which something was counted or held."""
    meter = known.meter
    cuts = [span.start + _HOUR * number for number in range(span.hours + 1)]
    usage = await usage_from_readings(
        session,
        org_id,
        cuts,
        {meter.id: meter},
        upto=known.upto,
        known_at=known.at,
    )
    series = [x for x in usage.get(meter.slug, ()) if known.matches(x.dimensions)]
    hours = []
    for number, hour in enumerate(cuts[:-1]):
        counted = [x.by_stretch[number] for x in series if number in x.by_stretch]
        events = sum(one.count for one in counted)
        if events or (counted and hour < known.upto):
            hours.append(HourBehind(hour, value_of(meter.aggregation, counted), events))
    return hours
