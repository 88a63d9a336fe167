"""PACKAGE, VOLUME, and what a whole price comes to at least and at most."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import accumulate, pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.rules.money import Currency
from billing.rules.periods import Period
from billing.rules.prices import InvalidPrice, Model, Terms, Tier
from billing.rules.rating import Rated, Segment, StepKind, rate_ladder

NOVEMBER = Period(datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC))
HALF = datetime(2026, 11, 16, tzinfo=UTC)
LADDER = (Tier(Decimal(100), Decimal("0.10")), Tier(None, Decimal("0.05")))


def terms(model: Model, *tiers: Tier, **more: Any) -> Terms:
    return Terms(model, Currency.USD, tiers, **more)


def packages(allowance: int = 0) -> Terms:
    tier = Tier(None, Decimal("0.50"))
    return terms(Model.PACKAGE, tier, package_size=Decimal(1_000), allowance=Decimal(allowance))


def per_unit(unit: str, **bounds: str) -> Terms:
    figures = {name: Decimal(value) for name, value in bounds.items()}
    return terms(Model.PER_UNIT, Tier(None, Decimal(unit)), **figures)


def parts(*priced: Terms) -> list[Segment]:
    """November in as many parts of the same length."""
    days = timedelta(days=30) / len(priced)
    edges = [NOVEMBER.start + days * i for i in range(len(priced) + 1)]
    return [
        Segment(f"v{i}", one, Period(start, end))
        for i, (one, (start, end)) in enumerate(zip(priced, pairwise(edges), strict=True))
    ]


def rated(segments: list[Segment], *reached: int | str) -> list[Rated]:
    return rate_ladder(segments, [Fraction(x) for x in reached], NOVEMBER)


def cost(of: Terms, quantity: int | str) -> Decimal:
    [whole] = rated(parts(of), quantity)
    return whole.amount.major


def test_worked_example_2_volume() -> None:
    volume = terms(Model.VOLUME, *LADDER)

    assert cost(volume, 120) == Decimal("6.00")
    assert cost(volume, 100) == Decimal("10.00")


def test_worked_example_3_packages_are_whole_and_the_allowance_comes_first() -> None:
    assert cost(packages(), 2_001) == Decimal("1.50")
    assert cost(packages(allowance=1_000), 2_001) == Decimal("1.00")


@pytest.mark.parametrize(("quantity", "amount"), [(0, "0"), (1, "0.50"), ("1000", "0.50")])
def test_a_package_that_is_begun_is_paid(quantity: int | str, amount: str) -> None:
    assert cost(packages(), quantity) == Decimal(amount)


def test_a_package_is_paid_once_by_the_part_that_begins_it() -> None:
    first, second, third = rated(parts(*[packages()] * 3), 500, 900, 1_001)

    assert [x.amount.minor for x in (first, second, third)] == [50, 0, 50]
    assert second.steps == ()
    [step] = third.steps
    assert step.kind is StepKind.PACKAGE
    assert step.quantity == 1
    assert step.up_to == 1_000


def test_volume_prices_every_part_by_the_tier_of_the_total() -> None:
    volume = terms(Model.VOLUME, *LADDER)

    assert [x.amount.minor for x in rated(parts(volume, volume), 80, 120)] == [400, 200]


def test_a_volume_tiers_flat_amount_is_paid_once_where_it_is_entered() -> None:
    flat = terms(
        Model.VOLUME,
        Tier(Decimal(100), Decimal("0.10"), Decimal(1)),
        Tier(None, Decimal("0.05"), Decimal(3)),
    )

    assert cost(flat, 0) == 0
    assert cost(flat, 100) == Decimal("11.00")
    assert cost(flat, 120) == Decimal("9.00")
    three = rated(parts(flat, flat, flat), 80, 120, 120)
    assert [x.amount.minor for x in three] == [400, 500, 0]
    assert three[1].steps[0].kind is StepKind.TIER_ENTRY


def test_a_minimum_is_asked_for_when_less_was_used_and_says_so() -> None:
    least = per_unit("1", minimum="5.00")

    [below] = rated(parts(least), 3)
    assert below.amount.major == Decimal("5.00")
    assert [(x.kind, x.quantity, x.exact_minor) for x in below.steps] == [
        (StepKind.TIER, Fraction(3), Fraction(300)),
        (StepKind.MINIMUM, Fraction(5), Fraction(200)),
    ]
    assert cost(least, 0) == Decimal("5.00")
    assert cost(least, 7) == Decimal("7.00")


def test_a_maximum_bounds_the_price_and_says_so() -> None:
    most = per_unit("1", maximum="5.00")

    [above] = rated(parts(most), 7)
    assert above.amount.major == Decimal("5.00")
    assert above.steps[-1].kind is StepKind.MAXIMUM
    assert above.steps[-1].exact_minor == -200
    assert cost(most, 5) == Decimal("5.00")


def test_bounds_are_prorated_by_the_hours_they_held() -> None:
    half = [Segment("v", per_unit("1", minimum="5.00", maximum="9.00"), Period(HALF, NOVEMBER.end))]

    assert rated(half, 0)[0].amount.major == Decimal("2.50")
    assert rated(half, 8)[0].amount.major == Decimal("4.50")


def test_a_maximum_of_only_a_part_of_the_period_bounds_nothing() -> None:
    both = parts(per_unit("1", maximum="5.00"), per_unit("1"))

    assert [x.amount.minor for x in rated(both, 7, 9)] == [700, 200]


def test_a_period_without_any_price_costs_nothing() -> None:
    assert rate_ladder([], [], NOVEMBER) == []


amounts = st.decimals(min_value=0, max_value=100, places=2)


@st.composite
def any_terms(draw: st.DrawFn) -> Terms:
    model = draw(st.sampled_from([Model.PER_UNIT, Model.PACKAGE, Model.GRADUATED, Model.VOLUME]))
    bounds = sorted(draw(st.sets(st.integers(1, 10**4), max_size=3)))
    ups = [*map(Decimal, bounds), None] if model in {Model.GRADUATED, Model.VOLUME} else [None]
    least, most = sorted((draw(amounts), draw(amounts)))
    return terms(
        model,
        *(Tier(up, draw(amounts), draw(amounts)) for up in ups),
        allowance=draw(amounts),
        package_size=Decimal(draw(st.integers(1, 500))) if model is Model.PACKAGE else None,
        minimum=draw(st.sampled_from([Decimal(0), least])),
        maximum=draw(st.sampled_from([None, most])),
    )


used = st.lists(st.integers(0, 2_000), min_size=1, max_size=5)


@given(priced=any_terms(), quantities=used)
def test_a_split_among_equals_changes_nothing_in_any_model(
    priced: Terms, quantities: list[int]
) -> None:
    reached = list(accumulate(quantities))
    split = rated(parts(*[priced] * len(reached)), *reached)
    [whole] = rated(parts(priced), reached[-1])

    assert sum(x.exact_minor for x in split) == whole.exact_minor
    assert sum(x.quantity for x in split) == whole.quantity
    for one in [*split, whole]:
        assert sum(step.exact_minor for step in one.steps) == one.exact_minor


@given(priced=any_terms(), quantity=st.integers(0, 10**5))
def test_no_price_leaves_its_bounds(priced: Terms, quantity: int) -> None:
    amount = cost(priced, quantity)

    assert amount >= priced.minimum
    assert priced.maximum is None or amount <= priced.maximum


@given(priced=any_terms(), one=st.integers(0, 10**5), other=st.integers(0, 10**5))
def test_only_volume_gets_cheaper_by_using_more(priced: Terms, one: int, other: int) -> None:
    less, more = sorted((one, other))

    assert priced.model is Model.VOLUME or cost(priced, less) <= cost(priced, more)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"package_size": Decimal(5)}, "how many units one package has"),
        ({"minimum": Decimal(-1)}, "minimum may not be negative"),
        ({"minimum": Decimal(5), "maximum": Decimal(4)}, "maximum is below the minimum"),
        ({"minimum": Decimal("0.001")}, "finer than 0.01"),
        ({"maximum": Decimal("0.001")}, "finer than 0.01"),
    ],
)
def test_figures_that_do_not_belong_together_are_refused(
    wrong: dict[str, Decimal], words: str
) -> None:
    with pytest.raises(Exception, match=words):
        terms(Model.PER_UNIT, Tier(None, Decimal(1)), **wrong)


def test_a_package_has_a_size_above_zero_and_a_fee_no_bounds() -> None:
    with pytest.raises(InvalidPrice, match="how many units"):
        terms(Model.PACKAGE, Tier(None, Decimal(1)))
    with pytest.raises(InvalidPrice, match="more than zero units"):
        terms(Model.PACKAGE, Tier(None, Decimal(1)), package_size=Decimal(0))
    with pytest.raises(InvalidPrice, match="its own minimum and maximum"):
        terms(Model.FLAT, amount=Decimal(1), minimum=Decimal(1))
