from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import accumulate, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.rules.money import Currency
from billing.rules.periods import Period
from billing.rules.prices import InvalidPrice, Model, Terms, Tier, Timing
from billing.rules.rating import Rated, Segment, StepKind, rate_fee, rate_ladder

NOVEMBER = Period(datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC))
HALF = datetime(2026, 11, 16, tzinfo=UTC)


def ladder(*tiers: tuple[str | None, str], allowance: str = "0") -> Terms:
    return Terms(
        Model.GRADUATED,
        Currency.USD,
        tuple(Tier(Decimal(up) if up else None, Decimal(unit)) for up, unit in tiers),
        allowance=Decimal(allowance),
    )


def per_unit(unit: str, currency: Currency = Currency.USD, allowance: str = "0") -> Terms:
    tiers = (Tier(None, Decimal(unit)),)
    return Terms(Model.PER_UNIT, currency, tiers, allowance=Decimal(allowance))


def whole(terms: Terms, quantity: str) -> Rated:
    (rated,) = rate_ladder(
        [Segment("plan/price/USD@1", terms, NOVEMBER)], [Fraction(quantity)], NOVEMBER
    )
    return rated


EXAMPLE_1 = ladder(("100", "0.10"), (None, "0.05"))
EXAMPLE_4 = ladder(("250", "0.02"), (None, "0.015"), allowance="100")


def test_worked_example_1_graduated() -> None:
    assert whole(EXAMPLE_1, "120").amount.major == Decimal("11.00")


def test_worked_example_4_allowance_and_tiers_with_their_arithmetic() -> None:
    rated = whole(EXAMPLE_4, "412.6")

    assert rated.exact_minor == Fraction("593.9")
    assert rated.amount.major == Decimal("5.94")
    assert [(s.kind, s.quantity, s.exact_minor) for s in rated.steps] == [
        (StepKind.ALLOWANCE, Fraction(100), 0),
        (StepKind.TIER, Fraction(250), Fraction(500)),
        (StepKind.TIER, Fraction("62.6"), Fraction("93.9")),
    ]


def test_worked_example_5_a_change_of_plan_at_half_the_period() -> None:
    first = Segment("a/x/USD@1", per_unit("0.10", allowance="100"), Period(NOVEMBER.start, HALF))
    second = Segment("b/x/USD@1", per_unit("0.10", allowance="1000"), Period(HALF, NOVEMBER.end))

    rated = rate_ladder([first, second], [Fraction(80), Fraction(680)], NOVEMBER)

    assert [one.amount.major for one in rated] == [Decimal("0.00"), Decimal("13.00")]


def test_worked_example_9_a_fee_from_the_hour_it_started() -> None:
    terms = Terms(Model.FLAT, Currency.USD, amount=Decimal("29.00"), timing=Timing.ADVANCE)
    span = Period(datetime(2026, 11, 15, 14, tzinfo=UTC), NOVEMBER.end)

    rated = rate_fee(Segment("pro/base/USD@1", terms, span), NOVEMBER)

    assert rated.amount.major == Decimal("14.90")
    (step,) = rated.steps
    assert (step.kind, step.quantity, step.of) == (StepKind.PRORATION, Fraction(370), 720)


def test_a_whole_periods_fee_needs_no_arithmetic() -> None:
    terms = Terms(Model.FLAT, Currency.USD, amount=Decimal("29.00"))

    rated = rate_fee(Segment("pro/base/USD@1", terms, NOVEMBER), NOVEMBER)

    assert (rated.amount.major, rated.steps) == (Decimal("29.00"), ())


def test_worked_example_13_a_currency_without_decimals() -> None:
    assert whole(per_unit("1.5", Currency.JPY), "3").amount.minor == 5


@pytest.mark.parametrize(
    ("quantity", "amount"), [("0", "0.00"), ("100", "10.00"), ("100.5", "10.03"), ("101", "10.05")]
)
def test_a_tiers_bound_belongs_to_it(quantity: str, amount: str) -> None:
    assert whole(EXAMPLE_1, quantity).amount.major == Decimal(amount)


def test_a_flat_amount_is_charged_once_on_entering_its_tier() -> None:
    tiers = (Tier(Decimal(10), Decimal(1)), Tier(None, Decimal(0), flat_amount=Decimal(5)))
    terms = Terms(Model.GRADUATED, Currency.USD, tiers)
    parts = [
        Segment("p", terms, Period(NOVEMBER.start, HALF)),
        Segment("p", terms, Period(HALF, NOVEMBER.end)),
    ]

    assert whole(terms, "10").amount.major == Decimal("10.00")
    assert whole(terms, "11").amount.major == Decimal("15.00")
    entered_later = rate_ladder(parts, [Fraction(10), Fraction(11)], NOVEMBER)
    entered_before = rate_ladder(parts, [Fraction(11), Fraction(12)], NOVEMBER)
    assert [x.amount.minor for x in entered_later] == [1000, 500]
    assert [x.amount.minor for x in entered_before] == [1500, 0]


units = st.decimals(min_value=0, max_value=10, places=4)
quantities = st.decimals(min_value=0, max_value=10**6, places=3)


@st.composite
def ladders(draw: st.DrawFn) -> Terms:
    bounds = sorted(draw(st.sets(st.integers(1, 10**5), max_size=4)))
    tiers = [Tier(Decimal(up), draw(units), draw(units)) for up in bounds]
    return Terms(
        Model.GRADUATED,
        Currency.USD,
        (*tiers, Tier(None, draw(units), draw(units))),
        allowance=draw(st.decimals(min_value=0, max_value=10**4, places=2)),
    )


@given(terms=ladders(), one=quantities, other=quantities)
def test_using_more_never_costs_less(terms: Terms, one: Decimal, other: Decimal) -> None:
    less, more = sorted((one, other))

    assert whole(terms, str(less)).amount.minor <= whole(terms, str(more)).amount.minor


@given(
    terms=ladders(),
    used=st.lists(quantities, min_size=1, max_size=6),
    hours=st.sets(st.integers(1, 719), max_size=5),
)
def test_switching_between_identical_prices_changes_nothing(
    terms: Terms, used: list[Decimal], hours: set[int]
) -> None:
    cuts = [
        NOVEMBER.start,
        *(NOVEMBER.start + timedelta(hours=h) for h in sorted(hours)),
        NOVEMBER.end,
    ]
    used = (used + [Decimal(0)] * len(cuts))[: len(cuts) - 1]
    segments = [
        Segment(f"v{i}", terms, Period(start, end)) for i, (start, end) in enumerate(pairwise(cuts))
    ]
    reached = list(accumulate(map(Fraction, used)))

    split = rate_ladder(segments, reached, NOVEMBER)

    assert sum(x.exact_minor for x in split) == whole(terms, str(reached[-1])).exact_minor
    assert all(sum(s.exact_minor for s in x.steps) == x.exact_minor for x in split)


@pytest.mark.parametrize(
    "tiers",
    [
        [],
        [("100", "0.10")],
        [(None, "0.10"), ("100", "0.05")],
        [("100", "0.1"), ("100", "0.2"), (None, "0.1")],
        [("100", "0.1"), ("50", "0.2"), (None, "0.1")],
        [("0", "0.1"), (None, "0.1")],
        [(None, "-0.1")],
    ],
)
def test_a_broken_ladder_cannot_be_constructed(tiers: list[tuple[str | None, str]]) -> None:
    with pytest.raises(InvalidPrice) as refusal:
        ladder(*tiers)

    assert refusal.value.code == "INVALID_PRICE"


def test_figures_that_do_not_belong_to_the_model_are_refused() -> None:
    tier = (Tier(None, Decimal(1)),)
    with pytest.raises(InvalidPrice, match="no tiers"):
        Terms(Model.FLAT, Currency.USD, tier, amount=Decimal(1))
    with pytest.raises(InvalidPrice, match="needs an amount"):
        Terms(Model.FLAT, Currency.USD)
    with pytest.raises(InvalidPrice, match="no amount of its own"):
        Terms(Model.PER_UNIT, Currency.USD, tier, amount=Decimal(1))
    with pytest.raises(InvalidPrice, match="in advance"):
        Terms(Model.PER_UNIT, Currency.USD, tier, timing=Timing.ADVANCE)
    with pytest.raises(InvalidPrice, match="allowance"):
        Terms(Model.PER_UNIT, Currency.USD, tier, allowance=Decimal(-1))
    with pytest.raises(InvalidPrice, match="exactly one"):
        Terms(Model.PER_UNIT, Currency.USD, (Tier(Decimal(1), Decimal(1)), *tier))
