from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from billing.rules.bill_diff import (
    Bill,
    BillDiff,
    BillLine,
    Movement,
    MovementKind,
    Resource,
    diff_of,
    spoken,
)
from billing.rules.lines import LineKind, plain_line
from billing.rules.money import Currency, Money
from billing.rules.periods import Period

NOVEMBER = Period(datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC))
WEB_1, WEB_2, WEB_3 = Resource("web-1", "fra"), Resource("web-2", "syd"), Resource("web-3", "fra")


def usd(minor: int) -> Money:
    return Money(minor, Currency.USD)


def usage(
    product: str, minor: int, *used: tuple[Resource | None, int], version: int = 1
) -> BillLine:
    key = f"pro/{product}/USD@{version}"
    quantity = Fraction(sum(quantity for _, quantity in used))
    line = plain_line(LineKind.USAGE, key, product, usd(minor), NOVEMBER)
    line = replace(line, product=product, quantity=quantity)
    return BillLine(line, [(resource, Fraction(quantity)) for resource, quantity in used])


def other(kind: LineKind, minor: int, description: str = "x") -> BillLine:
    return BillLine(plain_line(kind, description, description, usd(minor), NOVEMBER))


def diff(before: list[BillLine], after: list[BillLine]) -> BillDiff:
    return diff_of(Bill(Currency.USD, before), Bill(Currency.USD, after))


def told(found: BillDiff) -> list[tuple[MovementKind, int]]:
    return [(one.kind, one.amount.minor) for one in found.movements]


def test_the_example_in_words() -> None:
    found = diff(
        [
            usage("Machine time", 5000, (WEB_1, 50)),
            usage("Data out", 2000, (None, 100)),
        ],
        [
            usage("Machine time", 8000, (WEB_1, 50), (WEB_3, 30)),
            usage("Data out", 3120, (None, 160), version=2),
        ],
    )

    assert found.difference == usd(4120)
    assert found.words("October") == (
        "Up $41.20 on October: +$30.00 new web-3 (fra): Machine time,"
        " +$12.00 Data out volume, −$0.80 Data out price change."
    )


def test_what_is_gone_takes_its_part_with_it() -> None:
    found = diff(
        [usage("Machine time", 300, (WEB_1, 10), (WEB_2, 20))],
        [usage("Machine time", 110, (WEB_1, 11))],
    )

    assert told(found) == [(MovementKind.GONE, -200), (MovementKind.VOLUME, 10)]
    assert found.movements[0].words == "−$2.00 gone web-2 (syd): Machine time"


def test_a_tier_that_the_volume_reached_is_no_price_change() -> None:
    included = usage("Data out", 0, (None, 80))

    assert told(diff([included], [usage("Data out", 500, (None, 150))])) == [
        (MovementKind.VOLUME, 500)
    ]


def test_another_plan_with_the_same_product_is_a_price_change() -> None:
    hobby = usage("Data out", 1000, (None, 100))
    pro = replace(hobby, line=replace(hobby.line, key="scale/out/USD@1", amount=usd(700)))

    assert told(diff([hobby], [pro])) == [(MovementKind.PRICE, -300)]


def test_a_first_price_for_what_cost_without_being_used_is_the_price() -> None:
    idle = usage("Data out", 100, (None, 0))

    assert told(diff([idle], [usage("Data out", 250, (None, 0), version=2)])) == [
        (MovementKind.PRICE, 150)
    ]


def test_a_product_that_comes_or_goes_without_resources_is_volume() -> None:
    line = usage("Builds", 400, (None, 4))

    assert told(diff([], [line])) == [(MovementKind.VOLUME, 400)]
    assert told(diff([line], [])) == [(MovementKind.VOLUME, -400)]


def test_a_line_without_shares_is_compared_as_a_whole() -> None:
    whole = replace(usage("Builds", 400, (None, 4)), used=())

    assert told(diff([whole], [usage("Builds", 500, (None, 5))])) == [(MovementKind.VOLUME, 100)]


def test_everything_else_moves_by_its_kind() -> None:
    found = diff(
        [
            other(LineKind.CARRIED_IN, 31, "Carried from ACME-1"),
            other(LineKind.FEE_IN_ADVANCE, 2900, "Base fee"),
            other(LineKind.ONE_OFF, 1500, "Domain"),
            other(LineKind.TAX, 700, "VAT 19 %"),
        ],
        [
            other(LineKind.CARRIED_IN, 7, "Carried from ACME-2"),
            other(LineKind.FEE, 2900, "Base fee"),
            other(LineKind.ONE_OFF, 1500, "Setup"),
            other(LineKind.COUPON, -400, "Welcome"),
            other(LineKind.TRUE_UP, 250, "Late usage"),
            other(LineKind.TAX, 740, "VAT 19 %"),
        ],
    )

    assert [one.words for one in found.movements] == [
        "−$4.00 Welcome",
        "+$2.50 corrections of earlier invoices",
        "+$0.40 VAT 19 %",
        "−$0.24 carried between invoices",
    ]
    assert found.words("October") == (
        "Down $1.34 on October: −$4.00 Welcome, +$2.50 corrections of earlier invoices,"
        " +$0.40 VAT 19 %, −$0.24 carried between invoices."
    ), "one more than three is named rather than counted"


def test_what_is_not_named_is_still_summed_up() -> None:
    fees = [other(LineKind.FEE, 100 * i, f"Fee {i}") for i in range(1, 7)]

    assert diff([], fees).words("October") == (
        "Up $21.00 on October: +$6.00 Fee 6, +$5.00 Fee 5, +$4.00 Fee 4,"
        " +$6.00 in 3 smaller changes."
    )


def test_the_same_bill_is_said_to_be_so() -> None:
    bill = [usage("Data out", 500, (WEB_1, 5)), other(LineKind.FEE, 2900, "Base")]

    assert diff(bill, bill).words("October") == "The same as October."
    swapped = diff([other(LineKind.FEE, 5, "A")], [other(LineKind.FEE, 5, "B")])
    assert swapped.words("October") == "The same as October in sum: +$0.05 B, −$0.05 A."


def test_a_period_is_called_by_its_month() -> None:
    anchored = Period(datetime(2026, 10, 15, tzinfo=UTC), datetime(2026, 11, 15, tzinfo=UTC))

    assert spoken(NOVEMBER) == "November"
    assert spoken(anchored) == "the month from 15 October"


def test_a_resource_without_a_place_is_called_by_its_name() -> None:
    moved = Movement(MovementKind.NEW, "Builds", Resource("api"), usd(5))

    assert moved.words == "+$0.05 new api: Builds"


resources = st.none() | st.builds(
    Resource, st.sampled_from(["a", "b", "c", "d"]), st.sampled_from(["", "fra"])
)
uses = st.lists(st.tuples(resources, st.fractions(0, 10**6, max_denominator=50)), max_size=6)
minor_units = st.integers(-(10**7), 10**7)
currencies = st.sampled_from([Currency.USD, Currency.BHD, Currency.JPY])


@st.composite
def bills(draw: st.DrawFn, currency: Currency) -> Bill:
    lines = []
    for _ in range(draw(st.integers(0, 6))):
        kind = draw(st.sampled_from(LineKind))
        name = draw(st.sampled_from(["x", "y"]))
        key = f"{name}@{draw(st.integers(1, 2))}"
        amount = Money(draw(minor_units) * currency.step, currency)
        line = plain_line(kind, key, name, amount, NOVEMBER)
        used = draw(uses) if kind is LineKind.USAGE else []
        lines.append(BillLine(replace(line, product=name), used))
    return Bill(currency, lines)


pairs = currencies.flatmap(lambda currency: st.tuples(bills(currency), bills(currency)))
USAGE_KINDS = (MovementKind.NEW, MovementKind.GONE, MovementKind.VOLUME, MovementKind.PRICE)


def by_product(found: BillDiff) -> dict[str, int]:
    """What each product's usage moved by, and each other kind."""
    sums: defaultdict[str, int] = defaultdict(int)
    for one in found.movements:
        kind = "USAGE" if one.kind in USAGE_KINDS else one.kind
        sums[f"{kind} {one.product}"] += one.amount.minor
    return {name: minor for name, minor in sums.items() if minor}


@given(pair=pairs)
def test_movements_sum_to_the_difference_in_whole_steps(pair: tuple[Bill, Bill]) -> None:
    before, after = pair

    found = diff_of(before, after)

    assert sum(one.amount.minor for one in found.movements) == (
        after.total.minor - before.total.minor
    )
    assert all(one.amount.minor % after.currency.step == 0 for one in found.movements)
    assert all(one.amount.minor for one in found.movements)


@given(pair=pairs)
def test_the_same_bill_twice_has_no_movement(pair: tuple[Bill, Bill]) -> None:
    bill, _ = pair

    assert diff_of(bill, bill).movements == ()


@given(pair=pairs)
def test_swapped_bills_negate(pair: tuple[Bill, Bill]) -> None:
    one, other = diff_of(*pair), diff_of(pair[1], pair[0])

    assert by_product(one) == {name: -minor for name, minor in by_product(other).items()}
    assert _of(one, MovementKind.NEW) == {x: -y for x, y in _of(other, MovementKind.GONE).items()}


def _of(found: BillDiff, kind: MovementKind) -> dict[tuple[str, Resource | None], int]:
    return {(x.product, x.resource): x.amount.minor for x in found.movements if x.kind is kind}
