"""What §4 and the product's choices say beyond the worked examples, on numbers done by hand."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

from tests.reference.money import Currency, largest_remainder, rounded
from tests.reference.reference import invoices_of
from tests.reference.test_reference import (
    DECEMBER,
    GRACE,
    MID,
    NOVEMBER,
    OCTOBER,
    amounts,
    bill,
    monthly_fee,
    plan,
    terms,
    use,
    world,
)
from tests.reference.world import (
    CapChange,
    Coupon,
    Meter,
    Subscription,
    Tier,
    Void,
    World,
)

HALF = datetime(2026, 11, 16, tzinfo=UTC)
DOLLARS = plan(terms(unit="1"))
LATE = timedelta(days=30)


def coupon(percent: str | None = None, amount: int | None = None) -> Coupon:
    """A coupon for one invoice, known from the beginning."""
    return Coupon("off", Decimal(percent) if percent else None, amount, 1, NOVEMBER)


def split(before: World, **later: object) -> World:
    """The world with a second version of its one price from the half of November on."""
    (offered,) = before.plans
    (price,) = offered.prices
    second = replace(price.versions[0], effective_from=HALF, **later)  # type: ignore[arg-type]
    versions = (*price.versions, second)
    return replace(before, plans=(replace(offered, prices=(replace(price, versions=versions),)),))


def test_raising_a_cap_keeps_what_was_forgiven() -> None:
    of = world(DOLLARS, [use(MID, 80), use(HALF, 70)])
    caps = (CapChange(NOVEMBER, 5000), CapChange(MID + timedelta(hours=1), 20000))

    assert bill(replace(of, caps=caps)).total_minor == 12000


def test_lowering_a_cap_never_goes_under_what_is_billable() -> None:
    of = world(DOLLARS, [use(MID, 80), use(HALF, 70), use(DECEMBER, 90)], closes=2)
    caps = (CapChange(MID + timedelta(hours=1), 5000),)

    assert [i.total_minor for i in invoices_of(replace(of, caps=caps))] == [8000, 5000]


def test_late_usage_stays_under_the_cap_and_the_coupon() -> None:
    of = world(DOLLARS, [use(MID, 40), use(HALF, 30, late=LATE)], closes=2)

    capped = bill(replace(of, caps=(CapChange(NOVEMBER, 5000),)))
    by_amount = bill(replace(of, coupons=(coupon(amount=500),)))
    by_half = bill(replace(of, coupons=(coupon(percent="50"),)))

    assert amounts(capped) == [("TRUE_UP", 1000)]
    assert amounts(by_amount) == [("TRUE_UP", 3000)]
    assert amounts(by_half) == [("TRUE_UP", 1500)]


def test_a_void_counts_from_when_it_is_recorded() -> None:
    event = use(MID, 40)
    void = Void(event.source, event.id, DECEMBER + timedelta(days=3))
    first, second = invoices_of(replace(world(DOLLARS, [event], closes=2), voids=(void,)))

    assert first.total_minor == 4000
    assert amounts(second) == [("TRUE_UP", -4000), ("TO_CREDIT_BALANCE", 4000)]


def test_an_identity_counts_once_by_its_first_delivery() -> None:
    event = use(MID, 40)
    again = replace(event, data={"n": 99}, recorded_at=event.recorded_at + timedelta(days=1))

    assert bill(world(DOLLARS, [again, event])).total_minor == 4000


def test_the_credit_for_a_reduced_fee_is_reduced_too() -> None:
    started = monthly_fee(OCTOBER)
    cancelled = replace(
        started,
        organization=replace(started.organization, opened_at=OCTOBER),
        subscriptions=(replace(started.subscriptions[0], ends_at=HALF, end_recorded_at=HALF),),
        coupons=(coupon(percent="50"),),
        closes=(NOVEMBER + GRACE, DECEMBER + GRACE),
    )

    _, october, november = invoices_of(cancelled)

    assert amounts(october) == [("FEE_IN_ADVANCE", 2900), ("COUPON", -1450)]
    assert amounts(november)[0] == ("UNUSED_FEE", -725)


def test_a_trial_waives_fees_until_it_ends() -> None:
    started = monthly_fee(NOVEMBER)
    trial = replace(started.subscriptions[0], trial_ends_at=HALF)

    (invoice,) = invoices_of(replace(started, subscriptions=(trial,)))

    assert amounts(invoice) == [("FEE", 1450), ("FEE_IN_ADVANCE", 2900)]


def test_minimum_and_maximum_are_prorated() -> None:
    least, most = plan(terms(minimum=Decimal(30))), plan(terms(unit="1", maximum=Decimal(30)))
    half = (Subscription("s", "a", HALF, HALF),)

    assert bill(replace(world(least), subscriptions=half)).total_minor == 1500
    assert bill(replace(world(most, [use(HALF, 99)]), subscriptions=half)).total_minor == 1500


def test_growth_of_a_maximum_is_priced_where_it_grows() -> None:
    peak = Meter("peak", "probe", "level", "MAX", ())
    events = [use(MID, 10, meter=peak), use(HALF, 7, meter=peak)]
    events.append(use(HALF + timedelta(hours=1), 12, meter=peak))
    of = replace(world(plan(terms(unit="1"), meter=peak), events), meters=(peak,))

    assert amounts(bill(split(of, unit_amount=Decimal(2)))) == [("USAGE", 1000), ("USAGE", 400)]


def test_a_volume_price_takes_the_tier_of_the_total_and_its_flat_amount_once() -> None:
    tiers = (Tier(Decimal(100), Decimal("0.10")), Tier(None, Decimal("0.05"), Decimal(3)))
    of = world(plan(terms("VOLUME", tiers=tiers)), [use(MID, 80), use(HALF, 40)])

    assert amounts(bill(split(of, minimum=Decimal("0.01")))) == [("USAGE", 400), ("USAGE", 500)]


def test_a_filter_that_names_more_wins_and_a_missing_dimension_matches_none() -> None:
    meter = Meter("units", "use", "n", "SUM", ("app",))
    (price,) = DOLLARS.prices
    special = replace(
        price, slug="special", filters={"app": ("a", "b")}, versions=(terms(unit="2"),)
    )
    events = [replace(use(MID, 1), id=app, data={"n": 1, "app": app}) for app in ("a", "b", "c")]
    offered = replace(DOLLARS, prices=(price, special))
    of = replace(world(offered, [*events, use(HALF, 1)]), meters=(meter,))

    found = {line.name: (line.quantity, line.amount_minor) for line in bill(of).lines}
    assert found == {"a/price": (Fraction(2), 200), "a/special": (Fraction(2), 400)}


def test_shares_are_steps_of_the_currency() -> None:
    assert largest_remainder(100, [1, 1, 1], 10) == [40, 30, 30]
    dinars = world(plan(terms(unit="0.015")), [use(MID, 9)], currency="BHD")
    assert amounts(bill(dinars))[0] == ("USAGE", 140)
    assert rounded(Fraction(-1, 2), Currency(2, 1, 50)) == -1
