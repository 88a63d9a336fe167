"""From charges to invoices (§4 in its order, §5), one after another over the books so far."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from typing import Literal

from tests.reference.books import Books, Closed, Entry, EntryKind, cap_of, coupons_for
from tests.reference.charges import Charge, in_line_order
from tests.reference.fees import fee_charges
from tests.reference.money import currency_of, rounded
from tests.reference.periods import Period, period_at_index, period_of
from tests.reference.pricing import usage_charges
from tests.reference.reductions import (
    draw_prepaid,
    draw_promotional,
    grants_for,
    reduce_by_cap,
    reduce_by_coupons,
)
from tests.reference.true_ups import true_up
from tests.reference.world import Coupon, World


@dataclass(frozen=True)
class RefLine:
    """A line as billed; `of` is the index of the period it is a cost of, as far as it is one."""

    kind: str
    name: str
    amount_minor: int
    quantity: Fraction | None = None
    of: int | None = None


@dataclass(frozen=True)
class RefInvoice:
    """An invoice, with the balances it leaves behind; `cause` names an off-cycle subscription."""

    kind: Literal["PERIOD", "OFF_CYCLE"]
    cause: str | None
    period: Period
    issued_at: datetime
    lines: tuple[RefLine, ...]
    total_minor: int
    credit_balance_minor: int
    carry_minor: int


@dataclass
class Bill:
    """An invoice in the making; `own` is None off the cycle."""

    period: Period
    own: int | None
    now: datetime
    charges: list[Charge]
    taken: list[tuple[Coupon, int]]
    cuts: dict[int, int]

    @property
    def is_periods(self) -> bool:
        """Whether it is a period's own."""
        return self.own is not None


def one_off_charges(world: World, books: Books, period: Period, now: datetime) -> list[Charge]:
    """What is recorded by now, was incurred before the period's end and is not billed yet."""
    return [
        Charge("ONE_OFF", one.key, one.amount_minor, period_of(world.organization, at).index)
        for one in sorted(world.one_offs, key=lambda one: (one.incurred_at, one.recorded_at))
        if (at := one.incurred_at) < period.end
        and one.recorded_at <= now
        and one.key not in books.one_offs
        and (at >= period.start or not books.is_behind)
    ]


def period_charges(world: World, books: Books, period: Period, now: datetime) -> list[Charge]:
    """Step 1: every line of the invoice that would close the period now."""
    following = period_at_index(world.organization, period.index + 1)
    return in_line_order(
        [
            *usage_charges(world, period, now),
            *fee_charges(world, period, following, now, books.advance, is_behind=books.is_behind),
            *one_off_charges(world, books, period, now),
        ]
    )


def gross_of(world: World, books: Books, period: Period, now: datetime) -> int:
    """The cap's gross so far: this period's cost after coupons, on whichever invoice."""
    charges = period_charges(world, books, period, now)
    reduce_by_coupons(charges, coupons_for(world, books, now), currency_of(world))
    own = sum(charge.left for charge in charges if charge.period == period.index)
    elsewhere = books.elsewhere(period.index, period.index)
    return own + elsewhere.billed + elsewhere.cut


def reduced_bill(
    world: World,
    books: Books,
    period: Period,
    own: int | None,
    charges: list[Charge],
    now: datetime,
) -> Bill:
    """Steps 2 to 4: coupons, the caps of all periods that lines are of, true-ups."""
    currency = currency_of(world)
    coupons = coupons_for(world, books, now)
    taken = reduce_by_coupons(charges, coupons, currency)
    true_ups: list[Charge] = []
    if own is not None and not books.is_behind:
        for closed in books.closed:
            true_ups += true_up(world, books, closed, now)
    cuts = {}
    for index in sorted({period.index, *(charge.period for charge in charges)}):
        corrected = sum(charge.amount for charge in true_ups if charge.period == index)
        beside = books.elsewhere(index, period.index, corrected)
        cap = cap_of(world, books, period_at_index(world.organization, index))
        cuts[index] = reduce_by_cap(charges, cap, index, beside, currency)
    return Bill(period, own, now, [*charges, *true_ups], taken, cuts)


def close_period(world: World, books: Books, period: Period, now: datetime) -> RefInvoice:
    """The invoice that closes the period, entered in the books."""
    charges = period_charges(world, books, period, now)
    bill = reduced_bill(world, books, period, period.index, charges, now)
    invoice = settle(world, books, bill)
    beside = [charge for charge in charges if charge.kind != "USAGE"]
    coupons = [coupon for coupon, _ in bill.taken]
    books.closed.append(Closed(period, beside, coupons, bill.cuts))
    return invoice


def settle(world: World, books: Books, bill: Bill, cause: str | None = None) -> RefInvoice:
    """Steps 5 to 8, written down as lines and entered in the books."""
    lines = [RefLine(c.kind, c.name, c.amount, c.quantity, c.period) for c in bill.charges]
    lines += [RefLine("COUPON", coupon.name, -discount) for coupon, discount in bill.taken]
    lines += [RefLine("CAP_CREDIT", "cap", -cut, None, of) for of, cut in bill.cuts.items()]
    _grants_and_tax(world, books, lines, bill)
    _balance_and_carry(world, books, lines, bill)
    _enter(books, bill)
    kept = tuple(line for line in lines if line.amount_minor)
    return RefInvoice(
        "PERIOD" if bill.is_periods else "OFF_CYCLE",
        cause,
        bill.period,
        bill.now,
        kept,
        _total(kept),
        books.credit_balance,
        books.carry,
    )


def _enter(books: Books, bill: Bill) -> None:
    for coupon, _ in bill.taken:
        books.coupon_uses[coupon.name] = books.coupon_uses.get(coupon.name, 0) + 1
    for charge in bill.charges:
        kind: EntryKind = "TRUE_UP" if charge.kind == "TRUE_UP" else "LINE"
        books.entries.append(Entry(charge.period, bill.own, kind, charge.name, charge.left))
        if charge.kind == "ONE_OFF":
            books.one_offs.add(charge.name)
        if charge.kind == "FEE_IN_ADVANCE" or (charge.kind == "FEE" and not bill.is_periods):
            books.advance.append(charge)
    for index, cut in bill.cuts.items():
        books.entries.append(Entry(index, bill.own, "CUT", "cap", cut))


def _grants_and_tax(world: World, books: Books, lines: list[RefLine], bill: Bill) -> None:
    for grant in world.grants:
        books.grants.setdefault(grant.name, grant.amount_minor)
    currency = currency_of(world)
    promotional = grants_for(world.grants, "PROMOTIONAL", bill.period, bill.now)
    for name, drawn in draw_promotional(promotional, books.grants, bill.charges, currency):
        lines.append(RefLine("PROMOTIONAL_GRANT", name, -drawn))
    taxed = Fraction(_total(lines))
    for rate in world.taxes:
        begun, ended = rate.since or bill.now, rate.until
        if begun > bill.now or (ended is not None and ended <= bill.now):
            continue
        tax = rounded(taxed * Fraction(rate.percent) / 100, currency)
        lines.append(RefLine("TAX", rate.name, tax))
    prepaid = grants_for(world.grants, "PREPAID", bill.period, bill.now)
    for name, drawn in draw_prepaid(prepaid, books.grants, bill.charges, _total(lines)):
        lines.append(RefLine("PREPAID_GRANT", name, -drawn))


def _balance_and_carry(world: World, books: Books, lines: list[RefLine], bill: Bill) -> None:
    used = max(0, min(books.credit_balance, _total(lines)))
    books.credit_balance -= used
    lines.append(RefLine("CREDIT_BALANCE", "credit balance", -used))
    if bill.is_periods and not books.is_behind:
        lines.append(RefLine("CARRIED_IN", "Carried from", books.carry))
        books.carry = 0
    total = _total(lines)
    if 0 < total < currency_of(world).smallest_minor:
        lines.append(RefLine("CARRIED_OUT", "Carried to next invoice", -total))
        books.carry += total
    elif total < 0:
        lines.append(RefLine("TO_CREDIT_BALANCE", "Moved to credit balance", -total))
        books.credit_balance -= total


def _total(lines: Sequence[RefLine]) -> int:
    return sum(line.amount_minor for line in lines)
