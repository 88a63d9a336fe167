"""The worked examples of the product page (§9), with exactly its numbers, on the reference."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest

from tests.reference.invoices import RefInvoice
from tests.reference.money import largest_remainder
from tests.reference.reference import estimate_of, invoices_of
from tests.reference.world import (
    CapChange,
    Event,
    Grant,
    Meter,
    ModelName,
    Organization,
    Plan,
    Price,
    PriceVersion,
    Subscription,
    TaxRate,
    Tier,
    Value,
    World,
)

LONG_AGO = datetime(2025, 1, 1, tzinfo=UTC)
OCTOBER, NOVEMBER, DECEMBER, JANUARY = (
    datetime(2026, 10, 1, tzinfo=UTC),
    datetime(2026, 11, 1, tzinfo=UTC),
    datetime(2026, 12, 1, tzinfo=UTC),
    datetime(2027, 1, 1, tzinfo=UTC),
)
GRACE = timedelta(hours=24)
UNITS = Meter("units", "use", "n", "SUM", ())
STORAGE = Meter("storage", "volume", "gb", "TIME_WEIGHTED", ("resource",))
DISKS = Meter("disks", "volume", "gb", "LATEST", ("resource",))
LADDER = (Tier(Decimal(100), Decimal("0.10")), Tier(None, Decimal("0.05")))


def terms(model: ModelName = "PER_UNIT", unit: str = "0", **more: object) -> PriceVersion:
    """A version from long ago; `more` are its other fields."""
    version = PriceVersion(LONG_AGO, model, unit_amount=Decimal(unit))
    return replace(version, **more)  # type: ignore[arg-type]


def plan(version: PriceVersion, meter: Meter | None = UNITS, slug: str = "a") -> Plan:
    """A plan of one price."""
    return Plan(slug, (Price("price", meter.slug if meter else None, {}, (version,)),))


def use(at: datetime, n: Value, late: timedelta = timedelta(), meter: Meter = UNITS) -> Event:
    """An event of the meter, named after its instant and value."""
    data: dict[str, Value] = {meter.value_property or "": n}
    return Event(f"{at:%m%dT%H%M%S}-{n}", "test", meter.event_type, at, data, at + late)


def world(
    offered: Plan, events: Iterable[Event] = (), closes: int = 1, currency: str = "USD"
) -> World:
    """An organization on the plan since 1 November 2026, whose periods close a day after."""
    return World(
        Organization("acme", currency, 1, NOVEMBER),
        (UNITS, STORAGE, DISKS),
        (offered,),
        (Subscription("s", offered.slug, NOVEMBER, NOVEMBER),),
        events=tuple(events),
        closes=(DECEMBER + GRACE, JANUARY + GRACE)[:closes],
    )


def bill(of: World) -> RefInvoice:
    """Its last invoice."""
    return invoices_of(of)[-1]


def amounts(invoice: RefInvoice) -> list[tuple[str, int]]:
    """Kinds and amounts of its lines."""
    return [(line.kind, line.amount_minor) for line in invoice.lines]


MID = datetime(2026, 11, 10, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("version", "units", "cents"),
    [
        pytest.param(terms("GRADUATED", tiers=LADDER), "120", 1100, id="1"),
        pytest.param(terms("VOLUME", tiers=LADDER), "120", 600, id="2: 120"),
        pytest.param(terms("VOLUME", tiers=LADDER), "100", 1000, id="2: 100"),
        pytest.param(terms("PACKAGE", "0.50", package_size=1000), "2001", 150, id="3"),
        pytest.param(
            terms("PACKAGE", "0.50", package_size=1000, allowance=Decimal(1000)),
            "2001",
            100,
            id="3: 1,000 included",
        ),
        pytest.param(
            terms(
                "GRADUATED",
                allowance=Decimal(100),
                tiers=(Tier(Decimal(250), Decimal("0.02")), Tier(None, Decimal("0.015"))),
            ),
            "412.6",
            594,
            id="4",
        ),
    ],
)
def test_a_ladder_costs(version: PriceVersion, units: str, cents: int) -> None:
    invoice = bill(world(plan(version), [use(MID, Decimal(units))]))

    assert amounts(invoice) == [("USAGE", cents)]
    assert invoice.lines[0].quantity == Fraction(units)


def test_5_a_plan_change_shares_the_allowance() -> None:
    half = datetime(2026, 11, 16, tzinfo=UTC)
    first = plan(terms(unit="0.10", allowance=Decimal(100)))
    second = plan(terms(unit="0.10", allowance=Decimal(1000)), slug="b")
    events = [use(MID, 80), use(half, 600)]
    changed = replace(
        world(first, events),
        plans=(first, second),
        subscriptions=(
            Subscription("s", "a", NOVEMBER, NOVEMBER, ends_at=half, end_recorded_at=half),
            Subscription("t", "b", half, half, changes="s"),
        ),
    )

    assert [(line.name, line.amount_minor) for line in bill(changed).lines] == [("b/price", 1300)]


def test_6_the_order_of_reductions() -> None:
    costly = world(plan(terms(unit="1")), [use(MID, 100)])
    grant = Grant("gift", "PROMOTIONAL", 2000, None, 1, NOVEMBER, None, NOVEMBER)
    reduced = replace(
        costly,
        caps=(CapChange(NOVEMBER, 5000),),
        grants=(grant,),
        taxes=(TaxRate("vat", Decimal(20)),),
    )

    invoice = bill(reduced)

    assert amounts(invoice) == [
        ("USAGE", 10000),
        ("CAP_CREDIT", -5000),
        ("PROMOTIONAL_GRANT", -2000),
        ("TAX", 600),
    ]
    assert invoice.total_minor == 3600


def test_7_a_small_total_is_carried() -> None:
    events = [use(MID, 31), use(DECEMBER, 100)]

    first, second = invoices_of(world(plan(terms(unit="0.01")), events, closes=2))

    assert (amounts(first)[-1], first.total_minor) == (("CARRIED_OUT", -31), 0)
    assert ("CARRIED_IN", 31) in amounts(second)
    assert second.total_minor == 131


def test_8_late_usage_is_a_true_up() -> None:
    late = use(MID, 50, late=timedelta(days=30))
    tiered = plan(terms("GRADUATED", tiers=LADDER))

    first, second = invoices_of(world(tiered, [use(MID, 120), late], closes=2))

    assert first.total_minor == 1100
    (line,) = second.lines
    assert (line.kind, line.amount_minor, line.of) == ("TRUE_UP", 250, 0)


def monthly_fee(started: datetime) -> World:
    """29.00 a month in advance since an instant."""
    fee = plan(terms("FLAT", amount=Decimal(29), timing="ADVANCE"), meter=None)
    offered = replace(fee, prices=(*fee.prices, *plan(terms(unit="1")).prices))
    subscription = Subscription("s", offered.slug, started, started)
    return replace(world(offered), subscriptions=(subscription,))


def test_9_a_first_fee_is_prorated_by_whole_hours() -> None:
    first, second = invoices_of(monthly_fee(datetime(2026, 11, 15, 14, 37, tzinfo=UTC)))

    assert (first.kind, amounts(first)) == ("OFF_CYCLE", [("FEE", 1490)])
    assert (second.kind, amounts(second)) == ("PERIOD", [("FEE_IN_ADVANCE", 2900)])


def test_10_a_gauge_is_held_from_before() -> None:
    events = [
        use(OCTOBER, 10, meter=STORAGE),
        use(datetime(2026, 11, 11, tzinfo=UTC), 20, meter=STORAGE),
    ]

    (line,) = bill(world(plan(terms(unit="0.0002"), meter=STORAGE), events)).lines

    assert (line.quantity, line.amount_minor) == (Fraction(12_000), 240)


def test_11_the_latest_values_are_summed() -> None:
    events = [
        replace(use(MID, 10, meter=DISKS), id=name, data={"gb": 10, "resource": name})
        for name in ("r1", "r2", "r3")
    ]

    (line,) = bill(world(plan(terms(unit="1"), meter=DISKS), events)).lines

    assert line.quantity == 30


def test_12_a_line_over_three_equal_apps() -> None:
    assert largest_remainder(1000, [1, 1, 1], 1) == [334, 333, 333]


def test_13_yen_have_no_cents() -> None:
    invoice = bill(world(plan(terms(unit="1.5")), [use(MID, 3)], currency="JPY"))

    assert amounts(invoice)[0] == ("USAGE", 5)


def test_14_a_negative_total_moves_to_the_credit_balance() -> None:
    half = datetime(2026, 11, 16, tzinfo=UTC)
    started = monthly_fee(OCTOBER)
    cancelled = replace(
        started,
        organization=replace(started.organization, opened_at=OCTOBER),
        subscriptions=(replace(started.subscriptions[0], ends_at=half, end_recorded_at=half),),
        events=(use(MID, 4),),
        closes=(NOVEMBER + GRACE, DECEMBER + GRACE),
    )

    invoice = bill(cancelled)

    assert sorted(amounts(invoice)) == [
        ("TO_CREDIT_BALANCE", 1050),
        ("UNUSED_FEE", -1450),
        ("USAGE", 400),
    ]
    assert (invoice.total_minor, invoice.credit_balance_minor) == (0, 1050)


def test_an_estimate_knows_what_is_recorded_and_integrates_to_now() -> None:
    held = use(NOVEMBER, 10, meter=STORAGE)
    unknown = use(NOVEMBER + timedelta(hours=1), 999, late=timedelta(days=3), meter=STORAGE)
    of = world(plan(terms(unit="0.01"), meter=STORAGE), [held, unknown])

    assert estimate_of(of, NOVEMBER + timedelta(hours=10)).total_minor == 100
