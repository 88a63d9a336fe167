"""One meter over time: the curves people look at, and the hours behind a line, from the buckets."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from fractions import Fraction

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from billing.ids import OrgId
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

    At most `limit` of them. `within` are dimensions that a series must have to be in it.
    """

    interval: Interval
    limit: int
    group_by: str | None = None
    within: Mapping[str, str] = field(default_factory=dict)


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
    Aggregation.SUM: "sum(total)",
    Aggregation.COUNT: "sum(events)",
    Aggregation.MAX: "max(highest)",
    Aggregation.LATEST: "sum(latest)",
    Aggregation.TIME_WEIGHTED: "sum(weighted)",
    Aggregation.UNIQUE_COUNT: "NULL::bigint",
}
# What has not begun yet has no point, though what is held will be held then too.
_POINTS = """
SELECT stretch, dimensions->>CAST(:group_by AS text) AS name, {quantity} AS quantity,
       sum(events) AS events
FROM ({part}) AS part JOIN series ON series.id = part.series_id CROSS JOIN asked
WHERE events > 0 OR asked.cuts[stretch + 1] < asked.upto
GROUP BY 1, 2
"""
_DISTINCT_POINTS = f"""
SELECT stretch, dimensions->>CAST(:group_by AS text), count(DISTINCT value), 0
FROM ({LABELLED}) AS part JOIN series ON series.id = part.series_id GROUP BY 1, 2
"""  # noqa: S608 - constants of these files
_PAGE = """
SELECT stretch, name, max(quantity) AS quantity, sum(events) AS events
FROM ({points}) AS points GROUP BY 1, 2 ORDER BY 1, 2 LIMIT :limit
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
    parameters = asked(org_id, cuts, {meter.id: meter}, upto, spacing.within)
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
    points = _POINTS.format(
        quantity=_QUANTITIES[aggregation],
        part=HELD if aggregation in HELD_AGGREGATIONS else COUNTED,
    )
    if aggregation is Aggregation.UNIQUE_COUNT:
        points += f" UNION ALL {_DISTINCT_POINTS}"
    return SERIES + _PAGE.format(points=points)
