from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.rules.aggregation import (
    Aggregation,
    Counted,
    MeterTerms,
    SeriesUsage,
    running_quantities,
    value_of,
)

ONE = Counted(2, Decimal(7), Decimal(5), Decimal(5), Fraction(1, 3), frozenset({1, 2}))
OTHER = Counted(3, Decimal(4), Decimal(3), Decimal(1), Fraction(1, 6), frozenset({2, 3}))
BEFORE_ITS_FIRST = Counted()


def series(aggregation: Aggregation, *stretches: Counted) -> SeriesUsage:
    meter = MeterTerms("m", "M", "u", aggregation)
    return SeriesUsage(meter, {}, dict(enumerate(stretches)))


@pytest.mark.parametrize(
    ("aggregation", "value"),
    [
        (Aggregation.SUM, 11),
        (Aggregation.COUNT, 5),
        (Aggregation.MAX, 5),
        (Aggregation.UNIQUE_COUNT, 3),
        (Aggregation.LATEST, 6),
        (Aggregation.TIME_WEIGHTED, Fraction(1, 2)),
    ],
)
def test_each_aggregation_of_the_same_usage(
    aggregation: Aggregation, value: int | Fraction
) -> None:
    assert value_of(aggregation, [ONE, OTHER, BEFORE_ITS_FIRST]) == value
    assert value_of(aggregation, []) == 0


@pytest.mark.parametrize(
    ("aggregation", "reached"),
    [
        (Aggregation.SUM, [7, 11]),
        (Aggregation.COUNT, [2, 5]),
        (Aggregation.MAX, [5, 5]),
        (Aggregation.UNIQUE_COUNT, [2, 3]),
        (Aggregation.TIME_WEIGHTED, [Fraction(1, 3), Fraction(1, 2)]),
    ],
)
def test_across_a_split_some_add_up_and_others_grow(
    aggregation: Aggregation, reached: list[int | Fraction]
) -> None:
    usage = [series(aggregation, ONE, OTHER)]

    assert running_quantities(aggregation, usage, [[0], [1]]) == reached
    assert running_quantities(aggregation, usage, [[0, 1]]) == reached[-1:]


def test_worked_example_11_the_latest_of_three_volumes() -> None:
    ten = Counted(1, Decimal(10), Decimal(10), Decimal(10))
    usage = [series(Aggregation.LATEST, ten) for _ in range(3)]

    assert running_quantities(Aggregation.LATEST, usage, [[0]]) == [30]


values = st.integers(0, 100).map(Decimal)
counts = st.builds(
    Counted,
    st.integers(0, 5),
    values,
    values,
    st.none() | values,
    st.integers(0, 100).map(lambda sixths: Fraction(sixths, 6)),
    st.frozensets(st.integers(0, 9), max_size=3),
)


@given(
    aggregation=st.sampled_from(list(Aggregation)),
    stretches=st.lists(st.lists(counts, min_size=3, max_size=3), min_size=1, max_size=3),
)
def test_what_is_reached_never_goes_down(
    aggregation: Aggregation, stretches: list[list[Counted]]
) -> None:
    usage = [series(aggregation, *counted) for counted in stretches]
    reached = running_quantities(aggregation, usage, [[0], [1], [2]])

    assert reached == sorted(reached)
