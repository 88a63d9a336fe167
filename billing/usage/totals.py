"""Reading what was counted for rating, from the hourly buckets alone."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from billing.ids import MeterId, OrgId
from billing.models import Meter
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
_NOTHING = Fraction(0)

Dimensions = tuple[tuple[str, str], ...]
Found = dict[tuple[MeterId, Dimensions], dict[int, Counted]]
"""What was counted in each stretch, by meter and dimensions."""

# Labels come in rows of their own.
_COUNTED = f"SELECT *, NULL::bigint[] AS labels FROM ({COUNTED}) AS counted"  # noqa: S608
_HELD = f"SELECT *, NULL FROM ({HELD}) AS held"  # noqa: S608 - constants of these files, all three
_LABELS = f"""
SELECT whole, stretch, 0, 0, 0, NULL, NULL, array_agg(label)
FROM (
    SELECT whole, stretch, dense_rank() OVER (ORDER BY value COLLATE "C") AS label
    FROM ({LABELLED}) AS labelled
) AS numbered
GROUP BY whole, stretch
"""  # noqa: S608


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
    parameters = asked(org_id, cuts, meters, upto, by)
    rows = (await session.execute(text(_statement(meters)), parameters)).all()
    found: Found = {}
    for row in rows:
        stretches = found.setdefault((row.meter_id, named(row.dimensions)), {})
        stretches[row.stretch] = _merged(stretches.get(row.stretch), row)
    return by_meter(found, meters)


def _statement(meters: Mapping[MeterId, Meter]) -> str:
    parts = [_COUNTED]
    if is_any_held(meters):
        parts.append(_HELD)
    if distinct_meters(meters):
        parts.append(_LABELS)
    found = " UNION ALL ".join(parts)
    return f"{SERIES} SELECT * FROM ({found}) AS found JOIN wholes USING (whole)"  # noqa: S608


def _merged(before: Counted | None, row: Row[Any]) -> Counted:
    """With what one more row says of the same stretch: what was counted, or its labels."""
    if row.labels is not None:
        return replace(before or Counted(), labels=frozenset(row.labels))
    return Counted(
        int(row.events),
        row.total,
        row.highest,
        row.latest,
        unit_hours(row.weighted),
        before.labels if before else frozenset(),
    )


def unit_hours(weighted: Decimal | None) -> Fraction:
    """From value x seconds."""
    return Fraction(weighted) / SECONDS_PER_HOUR if weighted else _NOTHING


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
