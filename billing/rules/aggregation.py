"""From what was counted per series to the one quantity that is priced."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from itertools import accumulate


class Aggregation(StrEnum):
    """How a meter turns many events into one quantity."""

    SUM = "SUM"
    COUNT = "COUNT"
    MAX = "MAX"
    LATEST = "LATEST"
    UNIQUE_COUNT = "UNIQUE_COUNT"
    TIME_WEIGHTED = "TIME_WEIGHTED"


HELD_AGGREGATIONS = frozenset({Aggregation.LATEST, Aggregation.TIME_WEIGHTED})
"""A series keeps its value until its next event, over period edges too."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What one series counted in one stretch of time: everything an aggregation may need.

    `latest` is the value it holds at the end of the stretch, None before its first event;
    `weighted` is the value integrated over the stretch, in unit-hours. `labels` stand for distinct
    values: any numbers that are equal for equal ones, throughout one reading of the usage.
    """

    count: int = 0
    total: Decimal = Decimal(0)
    highest: Decimal = Decimal(0)
    latest: Decimal | None = None
    weighted: Fraction = Fraction(0)
    labels: frozenset[int] = frozenset()


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


def segment_value(
    aggregation: Aggregation, usage: Iterable[SeriesUsage], numbers: Sequence[int]
) -> Fraction:
    """The value of some series over some stretches alone; zero for none."""
    found = (
        series.by_stretch[number]
        for series in usage
        for number in numbers
        if number in series.by_stretch
    )
    return value_of(aggregation, found)


def value_of(aggregation: Aggregation, counted: Iterable[Counted]) -> Fraction:
    """Several stretches of several series as one quantity.

    MAX is the highest and UNIQUE_COUNT the union; all others are sums. For LATEST give each
    series' last stretch alone: earlier values were replaced, not added to.
    """
    match aggregation:
        case Aggregation.SUM:
            return sum((Fraction(one.total) for one in counted), start=Fraction(0))
        case Aggregation.COUNT:
            return Fraction(sum(one.count for one in counted))
        case Aggregation.MAX:
            return Fraction(max((one.highest for one in counted), default=Decimal(0)))
        case Aggregation.UNIQUE_COUNT:
            return Fraction(len(frozenset().union(*(one.labels for one in counted))))
        case Aggregation.LATEST:
            return sum((Fraction(one.latest or 0) for one in counted), start=Fraction(0))
        case _:
            assert aggregation is Aggregation.TIME_WEIGHTED, aggregation
            return sum((one.weighted for one in counted), start=Fraction(0))


def running_quantities(
    aggregation: Aggregation, usage: Sequence[SeriesUsage], stretches: Sequence[Sequence[int]]
) -> list[Fraction]:
    """The quantity reached at the end of each segment, counted from the period's start.

    A segment is the list of its stretches' numbers. MAX and UNIQUE_COUNT are of everything so far,
    so that a split period is charged for the growth of the running value; the others add up.
    """
    if aggregation in {Aggregation.MAX, Aggregation.UNIQUE_COUNT}:
        so_far = accumulate(stretches, lambda before, numbers: [*before, *numbers])
        return [segment_value(aggregation, usage, numbers) for numbers in so_far]
    return list(accumulate(segment_value(aggregation, usage, numbers) for numbers in stretches))
