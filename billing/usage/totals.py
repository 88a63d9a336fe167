"""Reading what was counted, from the hourly buckets alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Numeric, Row, func, literal, select
from sqlalchemy.dialects.postgresql import ARRAY, TIMESTAMP
from sqlalchemy.ext.asyncio import AsyncSession

from billing.ids import MeterId, OrgId
from billing.models import Meter, UsageBucket, UsageSeries, UsageSource
from billing.rules.aggregation import Aggregation, Counted, SeriesUsage
from billing.rules.periods import Period


class Interval(StrEnum):
    """How wide the points of a usage curve are."""

    HOUR = "HOUR"
    DAY = "DAY"
    MONTH = "MONTH"


@dataclass(frozen=True, slots=True)
class Spacing:
    """A curve has one point for each interval, and for each value of `group_by` where given."""

    interval: Interval
    group_by: str | None = None


@dataclass(frozen=True, slots=True)
class UsagePoint:
    """What was counted from `start` for one interval; `group` is one value of a dimension."""

    start: datetime
    group: str | None
    quantity: Decimal


@dataclass(frozen=True, slots=True)
class SourceFreshness:
    """How far one source has been heard of: the latest event's own time, and when one last came."""

    source: str
    last_occurred_at: datetime
    last_recorded_at: datetime


async def usage_by_series(
    session: AsyncSession,
    org_id: OrgId,
    cuts: Sequence[datetime],
    meters: Mapping[MeterId, Meter],
    *,
    by: Sequence[str] | None = None,
) -> dict[str, list[SeriesUsage]]:
    """Everything one organization used between the first and the last cut, by meter slug.

    One query: each series' count, total and highest in each stretch between two cuts. Given `by`,
    series that agree on these dimensions are counted as one: far fewer rows, where only prices
    have to be told apart.
    """
    stretch = func.width_bucket(
        UsageBucket.hour, literal(list(cuts), ARRAY(TIMESTAMP(timezone=True)))
    ).label("stretch")
    counted = (
        select(
            UsageBucket.series_id,
            stretch,
            func.sum(UsageBucket.event_count).label("events"),
            func.sum(UsageBucket.total).label("total"),
            func.max(UsageBucket.highest).label("highest"),
        )
        .join(UsageSeries, UsageSeries.id == UsageBucket.series_id)
        .where(
            UsageSeries.org_id == org_id,
            UsageBucket.hour >= cuts[0],
            UsageBucket.hour < cuts[-1],
        )
        .group_by(UsageBucket.series_id, stretch)
        .subquery()
    )
    dimensions = UsageSeries.dimensions if by is None else _only(by)
    statement = (
        select(
            UsageSeries.meter_id,
            dimensions.label("dimensions"),
            counted.c.stretch,
            func.sum(counted.c.events).label("events"),
            func.sum(counted.c.total).label("total"),
            func.max(counted.c.highest).label("highest"),
        )
        .join(counted, UsageSeries.id == counted.c.series_id)
        .group_by(UsageSeries.meter_id, dimensions, counted.c.stretch)
        .order_by(UsageSeries.meter_id, dimensions)
    )
    return _by_meter((await session.execute(statement)).all(), meters)


def _only(names: Sequence[str]) -> ColumnElement[Any]:
    """A series' dimensions without the others; a missing one stays missing."""
    pairs = [part for name in names for part in (name, UsageSeries.dimensions[name])]
    return func.jsonb_strip_nulls(func.jsonb_build_object(*pairs))


def _by_meter(
    rows: Sequence[Row[Any]], meters: Mapping[MeterId, Meter]
) -> dict[str, list[SeriesUsage]]:
    series: dict[object, tuple[MeterId, dict[str, str], dict[int, Counted]]] = {}
    for row in rows:
        key = (row.meter_id, tuple(sorted(row.dimensions.items())))
        _, _, stretches = series.setdefault(key, (row.meter_id, row.dimensions, {}))
        stretches[row.stretch - 1] = Counted(int(row.events), row.total, row.highest)
    usage: dict[str, list[SeriesUsage]] = {}
    for meter_id, dimensions, stretches in series.values():
        terms = meters[meter_id].terms
        usage.setdefault(terms.slug, []).append(SeriesUsage(terms, dimensions, stretches))
    return usage


async def usage_over_time(
    session: AsyncSession,
    org_id: OrgId,
    meter: Meter,
    span: Period,
    spacing: Spacing,
    *,
    limit: int,
) -> list[UsagePoint]:
    """One meter's curve, oldest first, at most `limit` points.

    Intervals in which nothing was counted are left out.
    """
    group_by = spacing.group_by
    start = func.date_trunc(spacing.interval.value.lower(), UsageBucket.hour, "UTC").label("start")
    group = (UsageSeries.dimensions[group_by].astext if group_by else literal(None)).label("group")
    statement = (
        select(start, group, _quantity(meter.aggregation).label("quantity"))
        .join(UsageSeries, UsageSeries.id == UsageBucket.series_id)
        .where(
            UsageSeries.org_id == org_id,
            UsageSeries.meter_id == meter.id,
            UsageBucket.hour >= span.start,
            UsageBucket.hour < span.end,
        )
        .group_by(start, group)
        .order_by(start, group)
        .limit(limit)
    )
    rows = (await session.execute(statement)).all()
    return [UsagePoint(row.start, row.group, Decimal(row.quantity)) for row in rows]


def _quantity(aggregation: Aggregation) -> ColumnElement[Decimal]:
    match aggregation:
        case Aggregation.SUM:
            return func.sum(UsageBucket.total)
        case Aggregation.COUNT:
            return func.sum(UsageBucket.event_count).cast(Numeric)
        case Aggregation.MAX:
            return func.max(UsageBucket.highest)
        case _:
            raise AssertionError(f"{aggregation} is refused when a meter is written")


async def freshness(session: AsyncSession, org_id: OrgId) -> tuple[SourceFreshness, ...]:
    """Every source that has sent usage for this organization, by name."""
    rows = await session.scalars(
        select(UsageSource).where(UsageSource.org_id == org_id).order_by(UsageSource.source)
    )
    return tuple(
        SourceFreshness(row.source, row.last_occurred_at, row.last_recorded_at) for row in rows
    )
