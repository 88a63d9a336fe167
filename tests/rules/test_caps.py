"""The maximum: never exceeded, never bills back, whatever is changed and when."""

from datetime import UTC, datetime
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.rules.caps import UNCAPPED, CapStanding, CapTerms, PeriodCap
from billing.rules.lines import DraftLine, LineKind
from billing.rules.money import Currency, Money
from billing.rules.periods import Period
from billing.rules.reductions import Reductions, reduced

OCTOBER = Period(datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC))
NOVEMBER = Period(datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC))
DECEMBER = Period(datetime(2026, 12, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))


def line(minor: int, kind: LineKind = LineKind.USAGE, span: Period = NOVEMBER) -> DraftLine:
    amount = Money(minor, Currency.USD)
    return DraftLine(kind, f"{kind}-{minor}", "x", span, amount, Fraction(minor))


def bill(*lines: DraftLine, caps: tuple[PeriodCap, ...]) -> list[tuple[str, int]]:
    found = reduced(lines, Reductions(caps=caps), NOVEMBER, Currency.USD)
    return [(x.key, x.net_minor) for x in found]


def test_what_is_above_the_maximum_is_taken_off() -> None:
    cap = PeriodCap(NOVEMBER, CapTerms(5_000))

    assert bill(line(10_000), caps=(cap,)) == [("USAGE-10000", 5_000), ("cap", -5_000)]
    assert bill(line(5_000), caps=(cap,)) == [("USAGE-5000", 5_000)]


def test_raising_it_keeps_what_was_forgiven() -> None:
    terms = CapTerms(5_000).changed(20_000, 8_000)

    assert (terms.forgiven_minor, terms.billable(8_000)) == (3_000, 5_000)
    assert terms.billable(15_000) == 12_000
    assert terms.billable(99_000) == 20_000


def test_lowering_it_never_goes_under_what_is_billable_already() -> None:
    terms = CapTerms(9_000).changed(2_000, 8_000)

    assert (terms.amount_minor, terms.effective_minor) == (2_000, 8_000)
    assert terms.billable(50_000) == 8_000


def test_removing_it_bills_what_is_used_from_then_on() -> None:
    terms = CapTerms(5_000).changed(None, 8_000)

    assert terms.effective_minor is None
    assert [terms.billable(gross) for gross in (8_000, 9_000)] == [5_000, 6_000]


def test_setting_one_at_first_forgives_nothing_and_caps_at_what_there_is() -> None:
    assert UNCAPPED.changed(5_000, 8_000) == CapTerms(5_000, 0, 8_000)


def test_voided_usage_cannot_make_less_than_nothing_billable() -> None:
    terms = CapTerms(5_000).changed(None, 8_000)

    assert terms.billable(1_000) == 0
    assert terms.changed(4_000, 1_000).forgiven_minor == 3_000


def test_what_other_invoices_have_of_the_period_counts() -> None:
    cap = PeriodCap(NOVEMBER, CapTerms(5_000), billed_minor=2_900)

    assert bill(line(4_000), caps=(cap,)) == [("USAGE-4000", 2_100), ("cap", -1_900)]
    assert cap.over(-500) == 0


def test_what_was_taken_off_elsewhere_is_not_forgiven_twice() -> None:
    """80 used under 50, raised to 100: 30 are forgiven. 30 more, then 20 late, come to 100."""
    raised = CapTerms(5_000).changed(10_000, 8_000)
    own = PeriodCap(OCTOBER, raised)
    assert own.over(11_000) == 3_000

    late = PeriodCap(OCTOBER, raised, billed_minor=8_000, cut_minor=3_000)
    assert late.over(2_000) == 0
    assert late.over(2_001) == 1


def test_each_line_is_under_the_maximum_of_its_own_period() -> None:
    caps = tuple(PeriodCap(one, CapTerms(1_000)) for one in (OCTOBER, NOVEMBER, DECEMBER))

    found = bill(
        line(700),
        line(500, LineKind.ONE_OFF),
        line(1_500, LineKind.ONE_OFF, OCTOBER),
        line(2_900, LineKind.FEE_IN_ADVANCE, DECEMBER),
        caps=caps,
    )

    assert dict(found[4:]) == {"cap/2026-10-01": -500, "cap": -200, "cap/2026-12-01": -1_900}
    assert [net for _, net in found[:4]] == [583, 417, 1_000, 1_000]


def test_corrections_and_what_is_carried_are_not_the_periods_own() -> None:
    cap = PeriodCap(NOVEMBER, CapTerms(1_000))

    for kind in (LineKind.TRUE_UP, LineKind.CARRIED_IN, LineKind.TAX):
        assert not cap.is_of(line(5_000, kind))


def test_the_standing_says_what_counts_what_is_forgiven_and_what_is_left() -> None:
    cap = PeriodCap(NOVEMBER, CapTerms(5_000), billed_minor=1_000, cut_minor=50)
    low = cap.standing(reduced([line(1_500)], Reductions(caps=(cap,)), NOVEMBER, Currency.USD))
    high = cap.standing(reduced([line(9_000)], Reductions(caps=(cap,)), NOVEMBER, Currency.USD))

    assert low == CapStanding(5_000, 2_500, 50)
    assert (low.gross_minor, low.remaining_minor) == (2_550, 2_500)
    assert high == CapStanding(5_000, 5_000, 5_050)
    assert high.remaining_minor == 0
    assert CapStanding(None, 7, 0).remaining_minor is None


minors = st.integers(0, 10**6)
wanted = st.none() | minors
changes = st.lists(st.tuples(minors, wanted), max_size=8)


def terms_after(steps: list[tuple[int, int | None]]) -> tuple[CapTerms, int]:
    """The terms after usage and changes in turn, and the gross by then."""
    terms, gross = UNCAPPED, 0
    for growth, asked in steps:
        gross += growth
        terms = terms.changed(asked, gross)
    return terms, gross


@given(steps=changes, growth=minors, more=minors)
def test_it_is_monotone_in_usage_and_never_exceeded(
    steps: list[tuple[int, int | None]], growth: int, more: int
) -> None:
    terms, gross = terms_after(steps)
    billable = terms.billable(gross + growth)

    assert 0 <= billable <= terms.billable(gross + growth + more) <= billable + more
    assert terms.effective_minor is None or billable <= terms.effective_minor


@given(steps=changes, one=wanted, other=wanted, growth=minors)
def test_a_higher_one_never_bills_less(
    steps: list[tuple[int, int | None]], one: int | None, other: int | None, growth: int
) -> None:
    terms, gross = terms_after(steps)
    low, high = sorted((one, other), key=lambda x: (x is None, x or 0))

    by = [terms.changed(x, gross).billable(gross + growth) for x in (low, high)]

    assert by[0] <= by[1]


@given(steps=changes)
def test_no_change_bills_back_or_takes_back(steps: list[tuple[int, int | None]]) -> None:
    terms, gross = UNCAPPED, 0
    seen = []
    for growth, asked in steps:
        gross += growth
        before = terms.billable(gross)
        terms = terms.changed(asked, gross)
        assert terms.billable(gross) == before
        seen.append(before)

    assert all(earlier <= later for earlier, later in pairwise(seen))


@given(
    amount=minors,
    invoices=st.lists(st.lists(st.integers(0, 10**5), min_size=1, max_size=3), max_size=5),
)
def test_a_period_on_many_invoices_comes_to_its_maximum_at_most(
    amount: int, invoices: list[list[int]]
) -> None:
    billed = cut = 0
    for lines in invoices:
        cap = PeriodCap(NOVEMBER, CapTerms(amount), billed, cut)
        found = reduced(
            [line(x, LineKind.ONE_OFF) for x in lines],
            Reductions(caps=(cap,)),
            NOVEMBER,
            Currency.USD,
        )
        standing = cap.standing(found)
        billed, cut = standing.used_minor, standing.forgiven_minor

    gross = sum(map(sum, invoices))
    assert billed == min(gross, amount)
    assert billed + cut == gross


def test_a_period_may_have_none() -> None:
    terms = Reductions(caps=(PeriodCap(OCTOBER, CapTerms(1)),))

    assert terms.cap_of(OCTOBER) == terms.caps[0]
    assert terms.cap_of(NOVEMBER) is None


@pytest.mark.parametrize("kind", [LineKind.USAGE, LineKind.FEE, LineKind.UNUSED_FEE])
def test_a_negative_period_takes_nothing_off(kind: LineKind) -> None:
    cap = PeriodCap(NOVEMBER, CapTerms(100))

    assert bill(line(-500, kind), caps=(cap,)) == [(f"{kind}--500", -500)]
