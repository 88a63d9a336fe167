"""Usage as it is read for rating, in tests: both ways, and in a form that can be compared."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select

from billing.ids import OrgId
from billing.models import Meter
from billing.rules.aggregation import Counted, SeriesUsage
from billing.usage import fold_tail, usage_by_series, usage_from_readings
from tests.billing.usage.conftest import Usage

Name = tuple[str, tuple[tuple[str, str], ...], int]
"""Meter, dimensions, stretch."""


async def from_buckets(
    usage: Usage,
    org_id: OrgId,
    cuts: Sequence[datetime],
    upto: datetime,
    *,
    by: Sequence[str] | None = None,
) -> dict[str, list[SeriesUsage]]:
    """By `usage_by_series`, after everybody's tail is folded."""
    await fold_tail(usage.runtime)
    async with usage.runtime.sessions() as session:
        meters = {meter.id: meter for meter in await session.scalars(select(Meter))}
        return await usage_by_series(session, org_id, cuts, meters, upto=upto, by=by)


async def from_readings(
    usage: Usage, org_id: OrgId, cuts: Sequence[datetime], upto: datetime, **known: Any
) -> dict[str, list[SeriesUsage]]:
    """By `usage_from_readings`, folded or not."""
    async with usage.runtime.sessions() as session:
        meters = {meter.id: meter for meter in await session.scalars(select(Meter))}
        return await usage_from_readings(session, org_id, cuts, meters, upto=upto, **known)


def flat(usage: Mapping[str, Sequence[SeriesUsage]]) -> dict[Name, Counted]:
    """Every stretch of every series by name; no name comes twice."""
    named = [
        ((meter, tuple(sorted(one.dimensions.items())), number), counted)
        for meter, series in usage.items()
        for one in series
        for number, counted in one.by_stretch.items()
    ]
    assert len(dict(named)) == len(named)
    return dict(named)


def comparable(usage: Mapping[str, Sequence[SeriesUsage]]) -> object:
    """Equal for equal usage, whatever numbers stand for its labels."""
    counted = flat(usage)
    found: dict[int, set[Name]] = {}
    for name, one in counted.items():
        for label in one.labels:
            found.setdefault(label, set()).add(name)
    sums = {
        name: (one.count, one.total, one.highest, one.latest, one.weighted)
        for name, one in counted.items()
    }
    order = [(meter, [one.dimensions for one in series]) for meter, series in usage.items()]
    return sums, Counter(frozenset(names) for names in found.values()), order
