from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

import pytest

from billing.rules.invoicing import Draft, draft_of
from billing.rules.lines import (
    DraftLine,
    LineKind,
    carried_line,
    corrected_number,
    one_off_line,
    price_of,
    quantity_of,
)
from billing.rules.money import Currency, Money
from billing.rules.periods import Period

NOVEMBER = Period(datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC))


def line(minor: int, kind: LineKind = LineKind.USAGE, key: str = "pro/x/USD@1") -> DraftLine:
    return DraftLine(
        kind=kind,
        key=key,
        description=key,
        span=NOVEMBER,
        amount=Money(minor, Currency.USD),
        exact_minor=Fraction(minor),
        quantity=Fraction("1.50"),
    )


def draft(*lines: DraftLine, key: str = "acme") -> Draft:
    return draft_of(key, NOVEMBER, Currency.USD, lines)


def test_the_total_is_the_sum_of_the_rounded_lines() -> None:
    found = draft(line(594), line(2900, LineKind.FEE_IN_ADVANCE), line(1000, LineKind.ONE_OFF))

    assert found.total.minor == 4494
    assert found.accrued.minor == 1594
    assert found.in_advance.minor == 2900


def test_lines_stand_in_one_order_whatever_order_they_come_in() -> None:
    kinds = [LineKind.FEE_IN_ADVANCE, LineKind.ONE_OFF, LineKind.USAGE, LineKind.CARRIED_IN]

    found = draft(*(line(100, kind) for kind in kinds))

    assert [x.kind for x in found.lines] == [*reversed(kinds)]


def test_worked_example_7_a_total_below_the_smallest_charge_is_carried() -> None:
    found = draft(line(31))

    assert found.total.minor == 0
    assert found.accrued.minor == 31
    assert found.lines[-1].description == "Carried to next invoice"
    assert found.lines[-1].amount.major == Decimal("-0.31")

    carried = carried_line(
        LineKind.CARRIED_IN, "Carried from ACME-0001", Money(31, Currency.USD), NOVEMBER
    )
    assert draft(line(25), carried).total.minor == 56


@pytest.mark.parametrize(("minor", "total"), [(0, 0), (1, 0), (49, 0), (50, 50)])
def test_exactly_the_smallest_charge_is_collected(minor: int, total: int) -> None:
    assert draft(line(minor)).total.minor == total


def test_equal_inputs_have_equal_digests_and_zero_lines_do_not_count() -> None:
    assert draft(line(594)).digest == draft(line(594), line(0, key="pro/y/USD@1")).digest


@pytest.mark.parametrize(
    "other",
    [
        draft(line(595)),
        draft(line(594, key="pro/x/USD@2")),
        draft(line(594), key="solo"),
        draft(line(594), line(100)),
    ],
)
def test_anything_that_changes_the_bill_changes_the_digest(other: Draft) -> None:
    assert other.digest != draft(line(594)).digest


def test_a_one_off_item_stands_on_the_hour_it_was_incurred_in() -> None:
    incurred = datetime(2026, 11, 30, 23, 59, tzinfo=UTC)

    item = one_off_line("one-off/setup", "Setup", Money(5000, Currency.USD), incurred)

    assert item.span == Period(incurred.replace(minute=0), NOVEMBER.end)
    assert item.quantity == 1


def test_what_is_before_tax_leaves_out_what_only_moves() -> None:
    carried = line(25, LineKind.CARRIED_IN, key="carried_in")

    assert draft(line(594), line(2900, LineKind.FEE_IN_ADVANCE), carried).pre_tax.minor == 3494


def test_a_negative_total_is_moved_to_the_credit_balance() -> None:
    found = draft(line(-1450, LineKind.UNUSED_FEE), line(400))

    assert (found.total.minor, found.lines[-1].kind) == (0, LineKind.MOVED_TO_CREDIT)
    assert found.lines[-1].amount.major == Decimal("10.50")


def test_a_line_knows_its_price_and_what_is_left_of_it() -> None:
    reduced = replace(line(1000), reduced_minor=300, granted_minor=200)

    assert (reduced.net_minor, reduced.price) == (500, "pro/x/USD")
    assert price_of("one-off/setup") == "one-off/setup"
    assert corrected_number("pro/x/USD~ACME-0001") == "ACME-0001"
    assert (quantity_of(Decimal("1.5")), quantity_of(None)) == (Fraction(3, 2), None)
