"""One meter over time: the curves people look at, and the hours behind a line, from the buckets."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from fractions import Fraction

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from billing.ids import OrgId, SeriesId
from billing.models import Meter
from billing.rules.aggregation import HELD_AGGREGATIONS, Aggregation
from billing.rules.periods import Period, ceil_hour, floor_hour
from billing.usage.intake import AHEAD_MAX
from billing.usage.stretches import COUNTED, HELD, LABELLED, SERIES, asked
from billing.usage.totals import unit_hours

_HOUR = timedelta(hours=1)


class Interval(StrEnum):
    """How wide the points of a usage curve are."""

    HOUR = "HOUR"
    DAY = "DAY"
    MONTH = "MONTH"

    def start_of(self, instant: datetime) -> datetime:
        """Where the interval that holds it starts, in UTC."""
        hour = floor_hour(instant)
        if self is Interval.HOUR:
            return hour
        day = hour.replace(hour=0)
        return day if self is Interval.DAY else day.replace(day=1)

    def after(self, start: datetime) -> datetime:
        """Where the interval after the one that starts there starts."""
        if self is Interval.HOUR:
            return start + _HOUR
        return self.start_of(start + timedelta(days=1 if self is Interval.DAY else 31))


@dataclass(frozen=True, slots=True)
class Spacing:
    """A curve has one point for each interval, and for each value of `group_by` where given.

    At most `limit` of them. Where `series` are given, only those are in it.
    """

    interval: Interval
    limit: int
    group_by: str | None = None
    series: Sequence[SeriesId] | None = None


@dataclass(frozen=True, slots=True)
class UsagePoint:
    """What was counted from `start` for one interval; `group` is one value of a dimension.

    `event_count` is zero where a value was only held.
    """

    start: datetime
    group: str | None
    quantity: Fraction
    event_count: int


_QUANTITIES: Mapping[Aggregation, str] = {
    Aggregation.SUM: "total",
    Aggregation.COUNT: "events",
    Aggregation.MAX: "highest",
    Aggregation.LATEST: "latest",
    Aggregation.TIME_WEIGHTED: "weighted",
    Aggregation.UNIQUE_COUNT: "labels",
}
_TOLD_APART = f"""
SELECT * FROM ({COUNTED}) AS counted JOIN (
    SELECT whole, stretch, count(*) AS labels FROM ({LABELLED}) AS labelled GROUP BY 1, 2
) AS labelled USING (whole, stretch)
"""  # noqa: S608 - constants of these files
# What has not begun yet has no point, though what is held will be held then too.
_POINTS = """
SELECT stretch, dimensions->>CAST(:group_by AS text) AS name, {quantity} AS quantity, events
FROM ({part}) AS part JOIN wholes USING (whole) CROSS JOIN asked
WHERE events > 0 OR asked.cuts[stretch + 1] < asked.upto
ORDER BY stretch, name LIMIT :limit
"""


async def usage_over_time(
    session: AsyncSession,
    org_id: OrgId,
    meter: Meter,
    span: Period,
    spacing: Spacing,
    *,
    upto: datetime,
) -> list[UsagePoint]:
    """One meter's curve by its aggregation, oldest first.

    LATEST is the sum of what its series hold at an interval's end, TIME_WEIGHTED unit-hours up to
    `upto`, usually now. Intervals in which nothing was counted, nor held, are left out.
    """
    is_held = meter.aggregation in HELD_AGGREGATIONS
    end = min(span.end, ceil_hour(upto + AHEAD_MAX)) if is_held else span.end
    if end <= span.start:
        return []
    starts = list(_starts(Period(span.start, end), spacing.interval))
    cuts = [span.start, *starts[1:], end]
    by = [spacing.group_by] if spacing.group_by else []
    parameters = asked(org_id, cuts, {meter.id: meter}, upto, by, spacing.series)
    rows = await session.execute(
        text(_statement(meter.aggregation)),
        parameters | {"group_by": spacing.group_by, "limit": spacing.limit},
    )
    return [
        UsagePoint(
            starts[row.stretch],
            row.name,
            unit_hours(row.quantity)
            if meter.aggregation is Aggregation.TIME_WEIGHTED
            else Fraction(row.quantity),
            int(row.events),
        )
        for row in rows
    ]


def _starts(span: Period, interval: Interval) -> Iterator[datetime]:
    """Of every interval that the span has a part of."""
    start = interval.start_of(span.start)
    while start < span.end:
        yield start
        start = interval.after(start)


def _statement(aggregation: Aggregation) -> str:
    part = HELD if aggregation in HELD_AGGREGATIONS else COUNTED
    if aggregation is Aggregation.UNIQUE_COUNT:
        part = _TOLD_APART
    return SERIES + _POINTS.format(quantity=_QUANTITIES[aggregation], part=part)
