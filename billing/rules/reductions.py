"""Reductions and tax, in the order of product.md §4.

Coupons, cap credit, true-ups, promotional grants, tax, prepaid grants, credit balance. What the
first ones take is shared out over the lines it reduces by largest remainder, so that the cost of
each line, app or resource is known after them too.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction

from billing.rules.allocation import allocate
from billing.rules.caps import CAPPED_KINDS, PeriodCap
from billing.rules.lines import DraftLine, LineKind, plain_line
from billing.rules.money import Currency, Money
from billing.rules.periods import Period
from billing.rules.quantities import plain


class GrantKind(StrEnum):
    """Whether a grant reduces what is taxed, or pays what has been taxed."""

    PROMOTIONAL = "PROMOTIONAL"
    PREPAID = "PREPAID"


@dataclass(frozen=True, slots=True)
class CouponTerms:
    """A percentage or an amount off; exactly one of the two."""

    code: str
    name: str
    percent: Decimal | None = None
    amount_minor: int | None = None


@dataclass(frozen=True, slots=True)
class GrantBalance:
    """What is left of a grant; `meter` limits it to that meter's usage. Low `priority` first."""

    code: str
    name: str
    kind: GrantKind
    left_minor: int
    meter: str | None = None
    priority: int = 0
    expires_at: datetime | None = None
    recorded_at: datetime | None = None

    @property
    def order(self) -> tuple[object, ...]:
        """Scoped before general, then by priority, the earliest to expire, the oldest."""
        never = self.expires_at is None
        return (
            self.meter is None,
            self.priority,
            never,
            None if never else self.expires_at,
            self.recorded_at,
            self.code,
        )


@dataclass(frozen=True, slots=True)
class Tax:
    """A fixed rate on what is left, exclusive."""

    name: str
    percent: Decimal


@dataclass(frozen=True, slots=True)
class Reductions:
    """All that is applied to the lines of one invoice. Coupons come oldest first."""

    coupons: tuple[CouponTerms, ...] = ()
    caps: tuple[PeriodCap, ...] = ()
    true_ups: tuple[DraftLine, ...] = ()
    grants: tuple[GrantBalance, ...] = ()
    taxes: tuple[Tax, ...] = ()
    credit_balance_minor: int = 0

    def cap_of(self, period: Period) -> PeriodCap | None:
        """The period's maximum, None without one."""
        return next((cap for cap in self.caps if cap.period == period), None)


NOTHING = Reductions()


@dataclass(slots=True)
class _Bill:
    """The lines so far; those that take a share of a reduction are replaced in place."""

    lines: list[DraftLine]
    period: Period
    currency: Currency

    def net(self, among: Callable[[DraftLine], bool]) -> int:
        return sum(line.net_minor for line in self.lines if _is_own(line) and among(line))

    def positive(self, among: Callable[[DraftLine], bool]) -> int:
        """The most that can be taken."""
        return sum(max(0, line.net_minor) for line in self.lines if _is_own(line) and among(line))

    def give_back(self, minor: int, among: Callable[[DraftLine], bool]) -> None:
        """Take so much less than was taken, by what was taken of each; all of it at most."""
        weights = [x.reduced_minor if _is_own(x) and among(x) else 0 for x in self.lines]
        minor = min(minor, sum(weights))
        if not minor:
            return
        parts = allocate(minor, [Fraction(x) for x in weights], self.currency.step)
        self.lines = [
            replace(line, reduced_minor=line.reduced_minor - part)
            for line, part in zip(self.lines, parts, strict=True)
        ]

    def take(self, minor: int, among: Callable[[DraftLine], bool], field: str) -> None:
        """Share out what is taken, over what is left of the positive lines."""
        if not minor:
            return
        places = [
            place
            for place, line in enumerate(self.lines)
            if _is_own(line) and line.net_minor > 0 and among(line)
        ]
        weights = [Fraction(self.lines[place].net_minor) for place in places]
        for place, part in zip(places, allocate(minor, weights, self.currency.step), strict=True):
            line = self.lines[place]
            self.lines[place] = replace(line, **{field: getattr(line, field) + part})

    def add(
        self, kind: LineKind, key: str, description: str, minor: int, span: Period | None = None
    ) -> None:
        amount = Money(minor, self.currency)
        self.lines.append(plain_line(kind, key, description, amount, span or self.period))


_OWN = CAPPED_KINDS | {LineKind.TRUE_UP}


def _is_own(line: DraftLine) -> bool:
    """What was bought, rather than what reduces, pays or moves it."""
    return line.kind in _OWN


def _any(_line: DraftLine) -> bool:
    return True


def reduced(
    lines: Sequence[DraftLine], terms: Reductions, period: Period, currency: Currency
) -> list[DraftLine]:
    """The lines with their shares of every reduction, and the lines of the reductions."""
    bill = _Bill(list(lines), period, currency)
    _apply_coupons(bill, terms.coupons)
    _apply_caps(bill, terms.caps)
    bill.lines += terms.true_ups
    promotional = [x for x in terms.grants if x.kind is GrantKind.PROMOTIONAL]
    _apply_promotional(bill, promotional)
    rest = bill.net(_any)
    rest += _apply_taxes(bill, terms.taxes, rest)
    prepaid = [x for x in terms.grants if x.kind is GrantKind.PREPAID]
    _pay(bill, rest, prepaid, terms.credit_balance_minor)
    return bill.lines


def corrected(
    lines: Sequence[DraftLine],
    terms: Reductions,
    cut_minor: int,
    period: Period,
    currency: Currency,
) -> list[DraftLine]:
    """What an issued invoice bought, computed again: after its coupons and its period's maximum.

    Lines of other periods, late items and fees in advance, come as they were billed, `cut_minor` of
    it taken off by their own maxima. They keep what was taken off them: a coupon that moved away
    could bring their period over the maximum it has reached. What the lines of `period` cannot
    bear comes off them besides.
    """
    fresh = [replace(line, reduced_minor=0, granted_minor=0) for line in lines]
    whole = _Bill(fresh, period, currency)
    _apply_coupons(whole, terms.coupons)
    again = [line for line in whole.lines if _is_own(line)]
    beside = [place for place, line in enumerate(lines) if line.span.start not in period]
    kept = sum(lines[place].reduced_minor for place in beside) - cut_minor
    moved = sum(again[place].reduced_minor for place in beside) - kept
    for place in beside:
        again[place] = replace(lines[place], granted_minor=0)
    owed = _Bill(again, period, currency)
    _bear(owed, moved)
    _apply_caps(owed, terms.caps)
    return [line for line in owed.lines if _is_own(line)]


def _bear(bill: _Bill, minor: int) -> None:
    """Coupons take so much more off the period's own lines; or less, if it is negative."""

    def is_own(line: DraftLine) -> bool:
        return line.span.start in bill.period

    def is_beside(line: DraftLine) -> bool:
        return not is_own(line)

    if minor < 0:
        bill.give_back(-minor, is_own)
        return
    mine = min(minor, bill.positive(is_own))
    bill.take(mine, is_own, "reduced_minor")
    bill.take(min(minor - mine, bill.positive(is_beside)), is_beside, "reduced_minor")


def _apply_coupons(bill: _Bill, coupons: Sequence[CouponTerms]) -> None:
    """Percentages before amounts, each on what the ones before it have left, never below zero."""
    for coupon in sorted(coupons, key=lambda coupon: coupon.percent is None):
        base = max(0, bill.net(_any))
        if coupon.percent is not None:
            exact = base * Fraction(coupon.percent) / 100
            off = Money.rounded(exact, bill.currency).minor
            description = f"{coupon.name}: {plain(coupon.percent)} % off"
        else:
            off = min(base, coupon.amount_minor or 0)
            description = coupon.name
        if off:
            bill.take(off, _any, "reduced_minor")
            bill.add(LineKind.COUPON, f"coupon/{coupon.code}", description, -off)


def _apply_caps(bill: _Bill, caps: Sequence[PeriodCap]) -> None:
    for cap in caps:
        if over := cap.over(bill.net(cap.is_of)):
            bill.take(over, cap.is_of, "reduced_minor")
            key = "cap" if cap.period == bill.period else f"cap/{cap.period.start:%Y-%m-%d}"
            bill.add(LineKind.CAP_CREDIT, key, "Above your maximum", -over, cap.period)


def _apply_promotional(bill: _Bill, grants: Sequence[GrantBalance]) -> None:
    for grant in sorted(grants, key=lambda grant: grant.order):
        among = _scope(grant)
        off = min(grant.left_minor, max(0, bill.net(_any)), max(0, bill.net(among)))
        if off:
            bill.take(off, among, "granted_minor")
            bill.add(LineKind.PROMOTIONAL_CREDIT, f"grant/{grant.code}", grant.name, -off)


def _scope(grant: GrantBalance) -> Callable[[DraftLine], bool]:
    return _any if grant.meter is None else lambda line: line.meter == grant.meter


def _apply_taxes(bill: _Bill, taxes: Sequence[Tax], taxable: int) -> int:
    """Each rate on what is left, rounded once. A negative rest gives back tax that was charged."""
    charged = 0
    for tax in taxes:
        exact = taxable * Fraction(tax.percent) / 100
        amount = Money.rounded(exact, bill.currency)
        if amount.minor:
            charged += amount.minor
            description = f"{tax.name} {plain(tax.percent)} %"
            line = plain_line(LineKind.TAX, f"tax/{tax.name}", description, amount, bill.period)
            bill.lines.append(replace(line, exact_minor=exact))
    return charged


def _pay(bill: _Bill, rest: int, prepaid: Sequence[GrantBalance], balance_minor: int) -> None:
    """Prepaid grants, then the credit balance, as far as there is anything to pay."""
    paid: dict[str, int] = {}
    for grant in sorted(prepaid, key=lambda grant: grant.order):
        room = rest
        if grant.meter is not None:
            room = min(rest, bill.net(_scope(grant)) - paid.get(grant.meter, 0))
        if (drawn := min(grant.left_minor, max(0, room))) > 0:
            rest -= drawn
            if grant.meter is not None:
                paid[grant.meter] = paid.get(grant.meter, 0) + drawn
            bill.add(LineKind.PREPAID_CREDIT, f"grant/{grant.code}", grant.name, -drawn)
    if (drawn := min(balance_minor, max(0, rest))) > 0:
        bill.add(LineKind.CREDIT_BALANCE, "credit-balance", "Credit balance used", -drawn)
