"""Coupons, grants, tax and credit, in their order, and what they never do."""

from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.rules.caps import CapTerms, PeriodCap
from billing.rules.invoicing import Draft, draft_of
from billing.rules.lines import DraftLine, LineKind
from billing.rules.money import Currency, Money
from billing.rules.periods import Period
from billing.rules.reductions import CouponTerms, GrantBalance, GrantKind, Reductions, Tax

NOVEMBER = Period(datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC))
PROMOTIONAL, PREPAID = GrantKind.PROMOTIONAL, GrantKind.PREPAID
CAP_50 = (PeriodCap(NOVEMBER, CapTerms(5_000)),)
VAT = (Tax("VAT", Decimal(20)),)


def line(
    minor: int, kind: LineKind = LineKind.USAGE, meter: str | None = None, key: str = ""
) -> DraftLine:
    name = key or meter or kind.value.lower()
    amount = Money(minor, Currency.USD)
    return DraftLine(kind, name, name, NOVEMBER, amount, Fraction(minor), meter=meter)


def grant(
    code: str, left: int, kind: GrantKind = PROMOTIONAL, meter: str | None = None, priority: int = 0
) -> GrantBalance:
    return GrantBalance(code, code, kind, left, meter, priority)


def half(code: str = "half") -> CouponTerms:
    return CouponTerms(code, "Half", percent=Decimal(50))


def off(minor: int, code: str = "off") -> CouponTerms:
    return CouponTerms(code, "Off", amount_minor=minor)


def draft(*lines: DraftLine, currency: Currency = Currency.USD, **terms: Any) -> Draft:
    return draft_of("acme", NOVEMBER, currency, lines, Reductions(**terms))


def added(found: Draft) -> list[tuple[str, int]]:
    """The lines that reductions, tax and settling added."""
    first = list(LineKind).index(LineKind.COUPON)
    later = set(list(LineKind)[first:]) - {LineKind.TRUE_UP}
    return [(x.key, x.amount.minor) for x in found.lines if x.kind in later]


def test_worked_example_6_cap_then_promotional_credit_then_tax() -> None:
    found = draft(line(10_000), caps=CAP_50, grants=(grant("g", 2_000),), taxes=VAT)

    assert added(found) == [("cap", -5_000), ("grant/g", -2_000), ("tax/VAT", 600)]
    assert found.total.minor == 3_600
    assert found.pre_tax.minor == 3_000
    assert found.accrued.minor == 3_000


def test_worked_example_14_an_unused_fee_becomes_credit() -> None:
    found = draft(line(-1_450, LineKind.UNUSED_FEE), line(400))

    assert added(found) == [("moved_to_credit", 1_050)]
    assert found.lines[-1].description == "Moved to credit balance"
    assert found.total.minor == 0


def test_percentages_come_before_amounts_and_each_sees_what_is_left() -> None:
    found = draft(line(10_000), coupons=(off(1_000), half(), half("again")))

    assert added(found) == [
        ("coupon/half", -5_000),
        ("coupon/again", -2_500),
        ("coupon/off", -1_000),
    ]
    assert found.lines[0].net_minor == 1_500
    assert found.lines[1].description == "Half: 50 % off"


def test_a_coupon_takes_no_more_than_there_is_and_no_line_for_nothing() -> None:
    assert added(draft(line(300), coupons=(off(1_000), off(5, "more")))) == [("coupon/off", -300)]
    assert added(draft(line(-300), coupons=(half(), off(5)))) == [("moved_to_credit", 300)]


def test_fees_in_advance_have_the_coupon_and_what_is_carried_has_not() -> None:
    found = draft(
        line(25, LineKind.CARRIED_IN), line(2_900, LineKind.FEE_IN_ADVANCE), coupons=(half(),)
    )

    assert added(found) == [("coupon/half", -1_450)]
    assert (found.in_advance.minor, found.total.minor) == (1_450, 1_475)


def test_a_reduction_is_shared_out_over_the_lines_it_reduces() -> None:
    found = draft(line(100, key="a"), line(100, key="b"), line(100, key="c"), coupons=(off(100),))

    assert [x.reduced_minor for x in found.lines[:3]] == [34, 33, 33]


def test_the_maximum_comes_after_coupons_and_before_corrections() -> None:
    late = line(4_000, LineKind.TRUE_UP)
    found = draft(line(12_000), coupons=(half(),), caps=CAP_50, true_ups=(late,))

    assert added(found) == [("coupon/half", -6_000), ("cap", -1_000)]
    assert found.total.minor == 9_000
    kinds = [x.kind for x in found.lines]
    assert kinds == sorted(kinds, key=list(LineKind).index)


def test_a_grant_of_one_meter_pays_for_nothing_else() -> None:
    lines = (line(300, meter="egress"), line(700, meter="builds"))

    assert added(draft(*lines, grants=(grant("g", 900, meter="egress"),))) == [("grant/g", -300)]
    two = (grant("a", 200, PREPAID, "egress"), grant("b", 200, PREPAID, "egress"))
    assert added(draft(*lines, grants=two)) == [("grant/a", -200), ("grant/b", -100)]


def test_grants_are_drawn_scoped_first_then_by_priority_expiry_and_age() -> None:
    def on(day: int) -> datetime:
        return datetime(2026, 11, day, tzinfo=UTC)

    ordered = [
        GrantBalance("scoped", "", PROMOTIONAL, 1, "egress", 9, None, on(9)),
        GrantBalance("first", "", PROMOTIONAL, 1, None, 0, None, on(9)),
        GrantBalance("soon", "", PROMOTIONAL, 1, None, 1, on(20), on(9)),
        GrantBalance("later", "", PROMOTIONAL, 1, None, 1, on(25), on(1)),
        GrantBalance("old", "", PROMOTIONAL, 1, None, 1, None, on(2)),
        GrantBalance("new", "", PROMOTIONAL, 1, None, 1, None, on(3)),
    ]
    found = draft(line(1_000, meter="egress"), grants=tuple(reversed(ordered)))

    assert [key for key, _ in added(found)] == [f"grant/{x.code}" for x in ordered]


def test_promotional_credit_lowers_the_tax_and_prepaid_credit_pays_it() -> None:
    both = (grant("paid", 5_000, PREPAID), grant("gift", 4_000))

    found = draft(line(10_000), grants=both, taxes=VAT, credit_balance_minor=9_999)

    assert added(found) == [
        ("grant/gift", -4_000),
        ("tax/VAT", 1_200),
        ("grant/paid", -5_000),
        ("credit-balance", -2_200),
    ]
    assert found.total.minor == 0


def test_each_rate_is_on_what_is_left_and_rounded_once() -> None:
    found = draft(
        line(50, key="a"),
        line(51, key="b"),
        taxes=(Tax("State", Decimal("6.25")), Tax("City", Decimal("0.1"))),
    )

    assert added(found) == [("tax/State", 6)]
    assert next(x for x in found.lines if x.kind is LineKind.TAX).exact_minor == Fraction(101, 16)


def test_what_is_given_back_gives_back_its_tax() -> None:
    found = draft(line(-1_000, LineKind.UNUSED_FEE), taxes=VAT)

    assert added(found) == [("tax/VAT", -200), ("moved_to_credit", 1_200)]


def test_credit_is_kept_for_when_there_is_something_to_pay() -> None:
    spare = (grant("paid", 500, PREPAID), grant("gift", 500))

    assert added(draft(line(-100), grants=spare, credit_balance_minor=500)) == [
        ("moved_to_credit", 100)
    ]
    assert added(draft(grants=(grant("none", 0),))) == []


kinds = st.sampled_from(
    [LineKind.USAGE, LineKind.FEE, LineKind.ONE_OFF, LineKind.UNUSED_FEE, LineKind.FEE_IN_ADVANCE]
)
meters = st.sampled_from([None, "egress", "builds"])
minors = st.integers(0, 50_000)
percents = st.decimals("0.01", 100, places=2)


@st.composite
def own_lines(draw: st.DrawFn) -> DraftLine:
    kind = draw(kinds)
    meter = draw(meters) if kind is LineKind.USAGE else None
    minor = -draw(minors) if kind is LineKind.UNUSED_FEE else draw(minors)
    return line(minor, kind, meter, key=str(draw(st.integers(0, 99))))


coupons = st.one_of(
    st.builds(CouponTerms, st.text("abc", min_size=1), st.just("C"), percent=percents),
    st.builds(
        CouponTerms, st.text("abc", min_size=1), st.just("C"), amount_minor=st.integers(1, 50_000)
    ),
)
grants = st.builds(
    grant,
    st.text("xyz", min_size=1),
    minors,
    st.sampled_from(GrantKind),
    meters,
    st.integers(0, 3),
)
taxes = st.builds(Tax, st.text("t", min_size=1), percents)
everything = st.fixed_dictionaries(
    {
        "coupons": st.lists(coupons, max_size=3).map(tuple),
        "caps": st.none() | minors,
        "true_ups": st.lists(st.integers(-9_000, 9_000), max_size=2),
        "grants": st.lists(grants, max_size=4, unique_by=lambda x: x.code).map(tuple),
        "taxes": st.lists(taxes, max_size=2, unique_by=lambda x: x.name).map(tuple),
        "credit_balance_minor": minors,
    }
)


@given(lines=st.lists(own_lines(), max_size=6), terms=everything)
def test_whatever_applies_nothing_is_taken_that_is_not_there(
    lines: list[DraftLine], terms: dict[str, Any]
) -> None:
    cap = terms["caps"]
    terms["caps"] = () if cap is None else (PeriodCap(NOVEMBER, CapTerms(cap)),)
    terms["true_ups"] = tuple(line(x, LineKind.TRUE_UP) for x in terms["true_ups"])
    found = draft(*lines, **terms)

    def taken(kind: LineKind) -> int:
        return -sum(x.amount.minor for x in found.lines if x.kind is kind)

    own = [x for x in found.lines if x.kind in {*_OWN, LineKind.TRUE_UP}]
    assert found.total.minor == sum(x.amount.minor for x in found.lines) >= 0
    assert all(x.net_minor >= 0 for x in own if x.amount.minor >= 0), "never below zero"
    assert all(x.net_minor == x.amount.minor for x in own if x.amount.minor < 0)
    reduced = taken(LineKind.COUPON) + taken(LineKind.CAP_CREDIT)
    assert sum(x.reduced_minor for x in own) == reduced, "shared out exactly"
    assert sum(x.granted_minor for x in own) == taken(LineKind.PROMOTIONAL_CREDIT)
    pay = taken(LineKind.PREPAID_CREDIT) + taken(LineKind.CREDIT_BALANCE)
    due = found.pre_tax.minor - taken(LineKind.TAX)
    assert 0 <= pay <= max(0, due), "credits never exceed charges"
    assert 0 <= taken(LineKind.CREDIT_BALANCE) <= terms["credit_balance_minor"]


_OWN = set(list(LineKind)[1 : list(LineKind).index(LineKind.COUPON)])


@given(lines=st.lists(own_lines(), min_size=1, max_size=6), amount=minors, more=minors)
def test_a_higher_maximum_never_makes_a_bill_smaller(
    lines: list[DraftLine], amount: int, more: int
) -> None:
    low, high = (
        draft(*lines, caps=(PeriodCap(NOVEMBER, CapTerms(one)),)) for one in (amount, amount + more)
    )

    assert low.accrued.minor <= high.accrued.minor
    assert sum(x.amount.minor for x in lines if x.amount.minor < 0) <= low.accrued.minor


@pytest.mark.parametrize("percent", ["100", "99.99"])
def test_money_in_steps_of_ten_stays_in_steps_of_ten(percent: str) -> None:
    amount = Money(1_010, Currency.BHD)
    one = DraftLine(LineKind.USAGE, "a", "a", NOVEMBER, amount, Fraction(1_010))
    coupon = CouponTerms("c", "C", percent=Decimal(percent))

    found = draft(one, one, currency=Currency.BHD, coupons=(coupon,), taxes=VAT)

    assert all(x.amount.minor % 10 == x.reduced_minor % 10 == 0 for x in found.lines)
