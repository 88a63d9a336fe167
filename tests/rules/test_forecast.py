from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from billing.rules.aggregation import Aggregation, Counted, MeterTerms, SeriesUsage
from billing.rules.caps import CapTerms, PeriodCap
from billing.rules.forecast import Forecast, Trend, forecast_from, forecast_of, running_rate
from billing.rules.invoicing import draft_of
from billing.rules.ladders import Offer, UsageCharge, charge_ladder, ladders_of
from billing.rules.lines import LineKind, plain_line
from billing.rules.money import Currency, Money
from billing.rules.periods import Period
from billing.rules.prices import Model, Terms, Tier
from billing.rules.reductions import (
    CouponTerms,
    GrantBalance,
    GrantKind,
    Reductions,
    Tax,
)

START = datetime(2026, 11, 1, tzinfo=UTC)
END = datetime(2026, 12, 1, tzinfo=UTC)
NOVEMBER = Period(START, END)
DECEMBER = Period(END, datetime(2027, 1, 1, tzinfo=UTC))
NOTHING = Reductions()


def on(day: int, hour: int = 0) -> datetime:
    return START + timedelta(days=day - 1, hours=hour)


def trend(
    *minor: int,
    fixed: int = 0,
    hourly: Fraction = Fraction(0),
    terms: Reductions = NOTHING,
    unseen: int = 0,
) -> Trend:
    """November with so much usage each day; `unseen` is accrued and in no day."""
    lines = [
        plain_line(LineKind.USAGE, "usage", "Usage", usd(sum(minor) + unseen), NOVEMBER),
        plain_line(LineKind.FEE, "base", "Base fee", usd(fixed), NOVEMBER),
        plain_line(LineKind.FEE_IN_ADVANCE, "next", "Base fee", usd(2900), DECEMBER),
    ]
    days = [(date(2026, 11, i + 1), Fraction(x)) for i, x in enumerate(minor)]
    return Trend(draft_of("acme", NOVEMBER, Currency.USD, lines, terms), terms, days, hourly)


def usd(minor: int) -> Money:
    return Money(minor, Currency.USD)


def capped_at(minor: int) -> Reductions:
    return Reductions(caps=(PeriodCap(NOVEMBER, CapTerms(minor)),))


def forecast(told: Trend, now: datetime) -> Forecast:
    found = forecast_of(told, now)
    assert found is not None
    return found


def range_of(found: Forecast) -> tuple[int, int, int]:
    return found.low.minor, found.expected.minor, found.high.minor


def test_nothing_is_said_before_the_third_day() -> None:
    assert forecast_of(trend(100, 100, 5), on(3) - timedelta(microseconds=1)) is None
    assert forecast_of(trend(100, 100, 0), on(3)) is not None
    assert forecast_from(NOVEMBER, on(1) - timedelta(days=90)) == on(3)


def test_an_organization_opened_within_the_period_has_a_third_day_of_its_own() -> None:
    assert forecast_from(NOVEMBER, on(20, hour=15)) == on(22)


def test_steady_days_go_on_and_have_no_band() -> None:
    found = forecast(trend(*[100] * 10, 50, fixed=2900), on(11, hour=12))

    assert range_of(found) == (3950 + 1950,) * 3
    assert found.fixed == usd(2900)
    assert found.method == "if the last 7 days continue; $29.00 of that is fixed"


def test_only_the_last_seven_whole_days_count_and_today_does_not() -> None:
    found = forecast(trend(9000, 9000, *[100] * 7, 9000), on(10))

    assert range_of(found) == (27700 + 2100,) * 3


def test_the_spread_of_the_days_is_the_band() -> None:
    # Two days of 0 and 200: mean 100, sample variance 20,000; 28 days to come.
    found = forecast(trend(0, 200, 0), on(3))

    band = 2898  # the root of 20,000 x (28 + 28 x 28 / 2), to a minor unit
    assert range_of(found) == (200, 200 + 2800, 200 + 2800 + band)
    assert found.method == "if the last 2 days continue"


def test_what_is_held_goes_on_by_the_hour() -> None:
    found = forecast(trend(0, 0, 0, hourly=Fraction(1, 4), unseen=12), on(3))

    assert range_of(found) == (12 + 28 * 24 // 4,) * 3
    assert found.method == "if the last 2 days continue and what runs now stays on"


def test_the_maximum_holds_it() -> None:
    found = forecast(trend(*[100] * 10, fixed=500, terms=capped_at(2000)), on(11))

    assert range_of(found) == (2000,) * 3
    assert "your maximum allows no more" in found.method
    assert "maximum" not in forecast(trend(100, 100, terms=capped_at(9000)), on(3)).method


def test_the_maximum_of_an_earlier_period_is_not_this_ones() -> None:
    october = Period(datetime(2026, 10, 1, tzinfo=UTC), START)
    terms = Reductions(caps=(PeriodCap(october, CapTerms(100)),))

    assert forecast(trend(100, 100, terms=terms), on(3)).expected == usd(3000)


def test_coupons_and_grants_take_from_what_is_to_come_too() -> None:
    half = Reductions(coupons=(CouponTerms("half", "Half", percent=Decimal(50)),))
    grant = GrantBalance("gift", "Gift", GrantKind.PROMOTIONAL, 10**6)
    taxed = Reductions(taxes=(Tax("VAT", Decimal(20)),))

    assert forecast(trend(100, 100, terms=half), on(3)).expected == usd(1500)
    assert forecast(trend(100, 100, terms=Reductions(grants=(grant,))), on(3)).expected == usd(0)
    assert forecast(trend(100, 100, terms=taxed), on(3)).expected == usd(3000), "before tax"


amounts = st.integers(0, 10**6)
day_lists = st.lists(amounts, min_size=2, max_size=30)
caps = st.none() | st.integers(1, 10**8)
rates = st.fractions(0, 1000)
fees = st.integers(0, 10**5)


def reductions(cap: int | None, percent: int = 0) -> Reductions:
    coupons = (CouponTerms("off", "Off", percent=Decimal(percent)),) if percent else ()
    return replace(NOTHING if cap is None else capped_at(cap), coupons=coupons)


@given(
    days=day_lists,
    fixed=fees,
    hourly=rates,
    cap=caps,
    percent=st.integers(0, 100),
    past=st.integers(0, 86_400),
)
def test_it_is_ordered_never_below_what_has_accrued_and_never_above_the_cap(
    days: list[int], fixed: int, hourly: Fraction, cap: int | None, percent: int, past: int
) -> None:
    told = trend(*days, fixed=fixed, hourly=hourly, terms=reductions(cap, percent))
    now = min(END, on(len(days) + 1) + timedelta(seconds=past))

    found = forecast(told, now)

    assert told.draft.accrued.minor <= found.low.minor <= found.expected.minor <= found.high.minor
    if cap is not None:
        assert found.high.minor <= cap


@given(days=day_lists, fixed=fees, hourly=rates, cap=caps)
def test_at_the_end_it_is_what_has_accrued(
    days: list[int], fixed: int, hourly: Fraction, cap: int | None
) -> None:
    told = trend(*days, fixed=fixed, hourly=hourly, terms=reductions(cap))

    for now in (END, END + timedelta(hours=5)):
        assert range_of(forecast(told, now)) == (told.draft.accrued.minor,) * 3


@given(
    days=day_lists,
    which=st.integers(0, 29),
    more=st.integers(1, 10**6),
    cap=caps,
    percent=st.integers(0, 100),
)
def test_more_usage_on_any_day_never_lowers_it(
    days: list[int], which: int, more: int, cap: int | None, percent: int
) -> None:
    assume(which < len(days))
    raised = [*days[:which], days[which] + more, *days[which + 1 :]]
    terms = reductions(cap, percent)
    now = on(len(days) + 1)

    less = range_of(forecast(trend(*days, terms=terms), now))
    greater = range_of(forecast(trend(*raised, terms=terms), now))

    assert all(one <= other for one, other in zip(less, greater, strict=True))


GAUGE = MeterTerms("disk", "Volumes", "GB-hours", Aggregation.TIME_WEIGHTED)


def held(terms: Terms, *latest: int, meter: MeterTerms = GAUGE, hours: int = 100) -> UsageCharge:
    """Volumes that hold so many gigabytes now, and each held them for `hours`."""
    usage = [
        SeriesUsage(
            meter,
            {"resource": str(i)},
            {0: Counted(1, Decimal(x), Decimal(x), Decimal(x), Fraction(x * hours))},
        )
        for i, x in enumerate(latest)
    ]
    cuts = [START, END]
    offers = [Offer("pro/disk/USD@1", "Volumes", terms, NOVEMBER, meter)]
    ladders, _ = ladders_of(offers, {meter.slug: usage}, cuts)
    [charge] = charge_ladder(ladders[0], NOVEMBER, cuts)
    return charge


def per_unit(unit: str) -> Terms:
    return Terms(Model.PER_UNIT, Currency.USD, (Tier(None, Decimal(unit)),))


GRADUATED = Terms(
    Model.GRADUATED,
    Currency.USD,
    (Tier(Decimal(1000), Decimal("0.02")), Tier(None, Decimal("0.01"))),
)
PACKAGES = Terms(
    Model.PACKAGE, Currency.USD, (Tier(None, Decimal("0.50")),), package_size=Decimal(100)
)


@pytest.mark.parametrize(
    ("charge", "minor_per_hour"),
    [
        (held(per_unit("0.0002"), 10, 20), Fraction(6, 10)),
        (held(GRADUATED, 9), Fraction(18)),
        (held(GRADUATED, 20), Fraction(20)),
        (held(PACKAGES, 10), Fraction(5)),
        (held(replace(per_unit("1"), allowance=Decimal(5000)), 10), Fraction(0)),
        (held(replace(per_unit("1"), minimum=Decimal(5000)), 10), Fraction(0)),
        (held(replace(per_unit("1"), maximum=Decimal(50)), 10), Fraction(0)),
        (
            held(per_unit("1"), 10, meter=replace(GAUGE, aggregation=Aggregation.LATEST)),
            Fraction(0),
        ),
    ],
)
def test_what_is_held_costs_its_marginal_price_an_hour(
    charge: UsageCharge, minor_per_hour: Fraction
) -> None:
    assert running_rate(charge, on(10)) == minor_per_hour


def test_a_part_of_the_period_that_is_over_runs_no_more() -> None:
    charge = held(per_unit("1"), 10)

    assert running_rate(charge, END) == 0


def test_a_price_of_nothing_runs_for_nothing() -> None:
    charge = held(per_unit("1"), 10)

    free = replace(charge, line=replace(charge.line, steps=()))
    assert running_rate(free, on(10)) == 0


def test_what_has_accrued_since_is_not_forecast_away() -> None:
    low, expected, high, fixed = (Money(minor, Currency.USD) for minor in (900, 1000, 1100, 0))
    made = Forecast(low, expected, high, fixed, "if it goes on")

    assert made.not_below(Money(800, Currency.USD)) == made
    overtaken = made.not_below(Money(1050, Currency.USD))
    assert [x.minor for x in (overtaken.low, overtaken.expected, overtaken.high)] == [
        1050,
        1050,
        1100,
    ]
