"""Usage over time: what the charges are made of."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Self

import strawberry

from api.catalog import Meter, get_meter
from api.context import Info
from api.periods import Period
from api.scalars import exactly
from billing import models
from billing.errors import Invalid
from billing.rules import periods
from billing.rules.periods import ceil_hour, floor_hour, period_at
from billing.usage import curves, settle_usage
from billing.usage.curves import Interval, Spacing, usage_over_time

strawberry.enum(Interval, description="How wide a point of a usage curve is, in UTC.")

HOURS_MAX = {Interval.HOUR: 31 * 24, Interval.DAY: 400 * 24, Interval.MONTH: 10 * 366 * 24}
"""How long a curve may be, by how fine it is."""

POINTS_MAX = 10_000


@strawberry.type(description="What was counted in one interval.")
class UsagePoint:
    """Intervals in which nothing was counted, nor held, are left out."""

    start: datetime = strawberry.field(description="When the interval starts.")
    group: str | None = strawberry.field(
        description="One value of `groupBy`; null without it, and for usage that has none."
    )
    quantity: Decimal = strawberry.field(
        description=(
            "By the meter's aggregation, in its unit. LATEST is what is held at the interval's end,"
            " TIME_WEIGHTED unit-hours, up to now."
        )
    )

    @classmethod
    def of(cls, value: curves.UsagePoint) -> Self:
        """The domain's point, shown."""
        return cls(start=value.start, group=value.group, quantity=exactly(value.quantity))


@strawberry.type(description="One meter's usage over time.")
class Usage:
    """Oldest first."""

    meter: Meter = strawberry.field(description="What was counted.")
    period: Period = strawberry.field(
        description="What was asked for, widened to whole hours: usage is kept by the hour."
    )
    interval: Interval = strawberry.field(description="How wide each point is.")
    points: list[UsagePoint] = strawberry.field(description="By start, then by group.")


@dataclass(frozen=True, slots=True)
class Curve:
    """What is asked: by default the open period."""

    meter: str
    start: datetime | None
    end: datetime | None
    interval: Interval
    group_by: str | None

    def span(self, open_period: periods.Period) -> periods.Period:
        """In whole hours. Raises `Invalid` when it is empty, or too long for its interval."""
        start, end = self.start or open_period.start, self.end or open_period.end
        if start >= end:
            raise Invalid("from must be before to.", code="INVALID_PERIOD", field="from")
        span = periods.Period(floor_hour(start), ceil_hour(end))
        if span.hours > HOURS_MAX[self.interval]:
            days = HOURS_MAX[self.interval] // 24
            raise Invalid(
                f"By {self.interval} at most {days} days can be asked for.",
                code="INVALID_PERIOD",
                field="from",
            )
        return span


async def usage_of(info: Info, org: models.Organization, curve: Curve) -> Usage:
    """Raises `NotFound` for the meter, `Invalid` for the span, the dimension or too many points."""
    span = curve.span(period_at(info.context.now, org.anchor_day))
    meter = await get_meter(info, curve.meter)
    _check_dimension(meter, curve.group_by)
    async with info.context.reading() as session:
        await settle_usage(session, org.id)
        points = await usage_over_time(
            session,
            org.id,
            meter,
            span,
            Spacing(curve.interval, POINTS_MAX + 1, curve.group_by),
            upto=info.context.now,
        )
    if len(points) > POINTS_MAX:
        raise Invalid(
            f"That is more than {POINTS_MAX:,} points:"
            " ask for a shorter time, a wider interval, or without groupBy.",
            code="TOO_MANY_POINTS",
        )
    return Usage(
        meter=Meter.of(meter),
        period=Period.of(span),
        interval=curve.interval,
        points=[UsagePoint.of(point) for point in points],
    )


def _check_dimension(meter: models.Meter, name: str | None) -> None:
    if name is not None and name not in meter.dimensions:
        known = ", ".join(sorted(meter.dimensions)) or "none"
        raise Invalid(
            f"{meter.slug} has no dimension {name[:60]!r}; it has {known}.", field="groupBy"
        )
