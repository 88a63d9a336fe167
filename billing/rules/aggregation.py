"""From what was counted per series to the one quantity that is priced."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from functools import reduce
from itertools import accumulate

from billing.rules.quantities import EXACT


class Aggregation(StrEnum):
    """How a meter turns many events into one quantity."""

    SUM = "SUM"
    COUNT = "COUNT"
    MAX = "MAX"
    LATEST = "LATEST"
    UNIQUE_COUNT = "UNIQUE_COUNT"
    TIME_WEIGHTED = "TIME_WEIGHTED"


PRICED_AGGREGATIONS = frozenset({Aggregation.SUM, Aggregation.COUNT, Aggregation.MAX})
"""Those whose running value the buckets answer; a meter with another is refused when written."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What one series counted in one stretch of time: everything an aggregation may need."""

    count: int
    total: Decimal
    highest: Decimal


@dataclass(frozen=True, slots=True)
class MeterTerms:
    """What rating needs to know of a meter."""

    slug: str
    name: str
    unit: str
    aggregation: Aggregation


@dataclass(frozen=True, slots=True)
class SeriesUsage:
    """One combination of a meter's dimensions, and what it counted in each numbered stretch."""

    meter: MeterTerms
    dimensions: Mapping[str, str]
    by_stretch: Mapping[int, Counted]


def value_of(aggregation: Aggregation, counted: Counted) -> Decimal:
    """One series' own value in one stretch."""
    match aggregation:
        case Aggregation.SUM:
            return counted.total
        case Aggregation.COUNT:
            return Decimal(counted.count)
        case Aggregation.MAX:
            return counted.highest
        case _:
            raise AssertionError(f"{aggregation} is refused when a meter is written")


def combine(aggregation: Aggregation, values: Iterable[Decimal]) -> Decimal:
    """Several series or stretches as one: the highest for MAX, else the sum. Zero for none."""
    if aggregation is Aggregation.MAX:
        return max(values, default=Decimal(0))
    return reduce(EXACT.add, values, Decimal(0))


def running_quantities(
    aggregation: Aggregation, usage: Sequence[SeriesUsage], stretches: Sequence[Sequence[int]]
) -> list[Decimal]:
    """The quantity reached at the end of each segment, counted from the period's start.

    A segment is the list of its stretches' numbers. SUM and COUNT add up; MAX is the highest so
    far, so that a split period is charged for the growth of the running value.
    """
    per_segment = [segment_value(aggregation, usage, numbers) for numbers in stretches]
    grow: Callable[[Decimal, Decimal], Decimal] = (
        max if aggregation is Aggregation.MAX else EXACT.add
    )
    return list(accumulate(per_segment, grow))


def segment_value(
    aggregation: Aggregation, usage: Iterable[SeriesUsage], numbers: Sequence[int]
) -> Decimal:
    """The value of some series over some stretches alone."""
    return combine(
        aggregation,
        (
            value_of(aggregation, series.by_stretch[number])
            for series in usage
            for number in numbers
            if number in series.by_stretch
        ),
    )
