"""Reading what was counted for rating, from the hourly buckets alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

from sqlalchemy import Row, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from billing.ids import MeterId, OrgId
from billing.models import Meter, UsageSource
from billing.rules.aggregation import Counted, SeriesUsage
from billing.usage.stretches import (
    COUNTED,
    HELD,
    LABELLED,
    SERIES,
    asked,
    distinct_meters,
    is_any_held,
)

SECONDS_PER_HOUR = 3600


@dataclass(frozen=True, slots=True)
class SourceFreshness:
    """How far one source has been heard of: the latest event's own time, and when one last came."""

    source: str
    last_occurred_at: datetime
    last_recorded_at: datetime


Dimensions = tuple[tuple[str, str], ...]
Found = dict[tuple[MeterId, Dimensions], dict[int, Counted]]
"""What was counted in each stretch, by meter and dimensions."""

# Given `by`, series that agree on these dimensions are one. Labels come in rows of their own.
_NAMED = """
, named AS MATERIALIZED (
    SELECT id, meter_id, CASE WHEN CAST(:by AS text[]) IS NULL THEN dimensions ELSE (
        SELECT coalesce(jsonb_object_agg(name, dimensions->name), '{}')
        FROM unnest(CAST(:by AS text[])) AS name WHERE dimensions ? name
    ) END AS dimensions
    FROM series
)
"""
_TOTALS = """
SELECT meter_id, dimensions, stretch, sum(events) AS events, sum(total) AS total,
       max(highest) AS highest, sum(latest) AS latest, sum(weighted) AS weighted,
       NULL::bigint[] AS labels
FROM ({parts}) AS part JOIN named ON named.id = part.series_id
GROUP BY meter_id, dimensions, stretch
"""
_LABELS = f"""
SELECT meter_id, dimensions, stretch, 0, 0, 0, NULL, NULL, array_agg(DISTINCT label)
FROM (
    SELECT series_id, stretch, dense_rank() OVER (ORDER BY value COLLATE "C") AS label
    FROM ({LABELLED}) AS labelled
) AS part JOIN named ON named.id = part.series_id
GROUP BY meter_id, dimensions, stretch
"""  # noqa: S608 - constants of these files


async def usage_by_series(
    session: AsyncSession,
    org_id: OrgId,
    cuts: Sequence[datetime],
    meters: Mapping[MeterId, Meter],
    *,
    upto: datetime,
    by: Sequence[str] | None = None,
) -> dict[str, list[SeriesUsage]]:
    """Everything one organization used between the first and the last cut, by meter slug.

    One query, with a row for each series and stretch between two cuts. What is held is integrated
    to `upto`, usually now; a reading dated ahead of it counts up to its own instant. A held series
    is in every stretch from its first reading on, whether anything happened there or not.

    Given `by`, series that agree on these dimensions are counted as one: far fewer rows, where only
    prices have to be told apart.
    """
    parameters = asked(org_id, cuts, meters, upto) | {"by": None if by is None else list(by)}
    rows = (await session.execute(text(_statement(meters)), parameters)).all()
    found: Found = {}
    for row in rows:
        stretches = found.setdefault((row.meter_id, named(row.dimensions)), {})
        stretches[row.stretch] = _merged(stretches.get(row.stretch, Counted()), row)
    return by_meter(found, meters)


def _statement(meters: Mapping[MeterId, Meter]) -> str:
    parts = f"{COUNTED} UNION ALL {HELD}" if is_any_held(meters) else COUNTED
    totals = SERIES + _NAMED + _TOTALS.format(parts=parts)
    return f"{totals} UNION ALL {_LABELS}" if distinct_meters(meters) else totals


def _merged(counted: Counted, row: Row[Any]) -> Counted:
    """With what one more row says of the same stretch: what was counted, or its labels."""
    if row.labels is not None:
        return replace(counted, labels=frozenset(row.labels))
    return replace(
        counted,
        count=int(row.events),
        total=row.total,
        highest=row.highest,
        latest=row.latest,
        weighted=unit_hours(row.weighted),
    )


def unit_hours(weighted: Decimal | None) -> Fraction:
    """From value x seconds."""
    return Fraction(weighted or 0) / SECONDS_PER_HOUR


def named(dimensions: Mapping[str, str]) -> Dimensions:
    """A combination of dimensions as one that can be a key, and be sorted."""
    return tuple(sorted(dimensions.items()))


def by_meter(found: Found, meters: Mapping[MeterId, Meter]) -> dict[str, list[SeriesUsage]]:
    """By meter slug, in an order that depends on meters and dimensions alone."""
    usage: dict[str, list[SeriesUsage]] = {}
    for (meter_id, dimensions), stretches in sorted(found.items(), key=lambda item: item[0]):
        terms = meters[meter_id].terms
        series = SeriesUsage(terms, dict(dimensions), stretches)
        usage.setdefault(terms.slug, []).append(series)
    return usage


async def freshness(session: AsyncSession, org_id: OrgId) -> tuple[SourceFreshness, ...]:
    """Every source that has sent usage for this organization, by name."""
    rows = await session.scalars(
        select(UsageSource).where(UsageSource.org_id == org_id).order_by(UsageSource.source)
    )
    return tuple(
        SourceFreshness(row.source, row.last_occurred_at, row.last_recorded_at) for row in rows
    )
