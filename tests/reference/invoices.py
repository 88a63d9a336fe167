"""From charges to invoices (§4 in its order, §5), one after another over the books so far."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from typing import Literal

from tests.reference.charges import Charge
from tests.reference.fees import fee_charges
from tests.reference.money import currency_of, rounded
from tests.reference.periods import Period, period_at_index
from tests.reference.pricing import usage_charges
from tests.reference.reductions import (
    Cap,
    cap_at_start,
    draw_grants,
    grants_for,
    reduce_by_cap,
    reduce_by_coupons,
)
from tests.reference.world import Coupon, World


@dataclass(frozen=True)
class RefLine:
    """A line as billed; `corrects` is the index of the period a true-up corrects."""

    kind: str
    name: str
    amount_minor: int
    quantity: Fraction | None = None
    corrects: int | None = None


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
class Closed:
    """What a true-up needs to know of a period that was billed."""

    period: Period
    fees: list[Charge]
    coupons: list[Coupon]
    cap: Cap
    billed_earlier: int
    billed: dict[str, int]


@dataclass
class Books:
    """Everything issued so far, and what it leaves."""

    advance: list[Charge] = field(default_factory=list)
    coupon_uses: dict[str, int] = field(default_factory=dict)
    grants: dict[str, int] = field(default_factory=dict)
    caps: dict[int, Cap] = field(default_factory=dict)
    closed: list[Closed] = field(default_factory=list)
    credit_balance: int = 0
    carry: int = 0

    def billed_for(self, period: Period) -> int:
        """What coupons left of the advance fees already billed for the period."""
        return sum(line.left for line in self.advance if line.period == period.index)


def cap_of(world: World, books: Books, period: Period) -> Cap:
    """The period's cap as changes have left it."""
    return books.caps.get(period.index) or cap_at_start(world.caps, period)


def coupons_for(world: World, books: Books, now: datetime) -> list[Coupon]:
    """Coupons that exist and have invoices left."""
    return [
        coupon
        for coupon in world.coupons
        if coupon.created_at <= now
        and (coupon.invoices is None or books.coupon_uses.get(coupon.name, 0) < coupon.invoices)
    ]


def one_off_charges(world: World, period: Period, now: datetime) -> list[Charge]:
    """What was incurred in the period and is recorded by now."""
    return [
        Charge("ONE_OFF", one.key, one.amount_minor, period.index)
        for one in sorted(world.one_offs, key=lambda one: (one.incurred_at, one.key))
        if period.start <= one.incurred_at < period.end and one.recorded_at <= now
    ]


def period_charges(world: World, books: Books, period: Period, now: datetime) -> list[Charge]:
    """Step 1: every line of the invoice that would close the period now."""
    following = period_at_index(world.organization, period.index + 1)
    return [
        *usage_charges(world, period, now),
        *fee_charges(world, period, following, now, books.advance),
        *one_off_charges(world, period, now),
    ]


def gross_of(world: World, books: Books, period: Period, now: datetime) -> int:
    """The cap's gross so far: this period's cost after coupons, on whichever invoice."""
    charges = period_charges(world, books, period, now)
    reduce_by_coupons(charges, coupons_for(world, books, now), currency_of(world))
    own = sum(charge.left for charge in charges if charge.period == period.index)
    return own + books.billed_for(period)


def close_period(world: World, books: Books, period: Period, now: datetime) -> RefInvoice:
    """The invoice that closes the period, entered in the books."""
    currency = currency_of(world)
    charges = period_charges(world, books, period, now)
    coupons = coupons_for(world, books, now)
    cap, earlier = cap_of(world, books, period), books.billed_for(period)
    taken = reduce_by_coupons(charges, coupons, currency)
    # what coupons left of fees in advance is kept; the cap never touches another period's lines
    credit, over = reduce_by_cap(charges, cap, period, earlier, currency)
    true_ups = [line for closed in books.closed for line in true_up(world, closed, now)]
    fees = [charge.anew() for charge in charges if charge.fee]
    books.closed.append(Closed(period, fees, coupons, cap, earlier, _nets(charges, over)))
    invoice = settle(world, books, charges, taken, credit, true_ups, period, now)
    books.advance += [charge for charge in charges if charge.kind == "FEE_IN_ADVANCE"]
    return invoice


def true_up(world: World, closed: Closed, now: datetime) -> list[tuple[RefLine, str | None]]:
    """The corrected period as a whole, minus everything already billed for it, per price."""
    charges = [
        *usage_charges(world, closed.period, now),
        *(charge.anew() for charge in closed.fees),
        *one_off_charges(world, closed.period, now),
    ]
    currency = currency_of(world)
    reduce_by_coupons(charges, closed.coupons, currency)
    earlier = closed.billed_earlier
    _, over = reduce_by_cap(charges, closed.cap, closed.period, earlier, currency)
    corrected = _nets(charges, over)
    meters = _meters_by_name(world)
    lines = []
    for name in sorted(corrected.keys() | closed.billed.keys()):
        amount = corrected.get(name, 0) - closed.billed.get(name, 0)
        if amount:
            line = RefLine("TRUE_UP", name, amount, None, closed.period.index)
            lines.append((line, meters.get(name)))
    closed.billed = corrected
    return lines


def _nets(charges: Sequence[Charge], cap_credit_over: int) -> dict[str, int]:
    nets = {"cap": -cap_credit_over}
    for charge in charges:
        nets[charge.name] = nets.get(charge.name, 0) + charge.left
    return nets


def _meters_by_name(world: World) -> dict[str, str | None]:
    return {
        f"{plan.slug}/{price.slug}": price.meter for plan in world.plans for price in plan.prices
    }


def settle(
    world: World,
    books: Books,
    charges: Sequence[Charge],
    taken: Sequence[tuple[Coupon, int]],
    cap_credit: int,
    true_ups: Sequence[tuple[RefLine, str | None]],
    period: Period,
    now: datetime,
    cause: str | None = None,
) -> RefInvoice:
    """Steps 4 to 8 on charges that coupons and cap have reduced; writes the lines."""
    lines = [RefLine(c.kind, c.name, c.amount, c.quantity) for c in charges]
    for coupon, discount in taken:
        books.coupon_uses[coupon.name] = books.coupon_uses.get(coupon.name, 0) + 1
        lines.append(RefLine("COUPON", coupon.name, -discount))
    lines.append(RefLine("CAP_CREDIT", "cap", -cap_credit))
    lines += [line for line, _ in true_ups]
    by_meter: dict[str, int] = {}
    for meter, left in [(c.meter, c.left) for c in charges] + [
        (meter, line.amount_minor) for line, meter in true_ups
    ]:
        if meter:
            by_meter[meter] = by_meter.get(meter, 0) + left
    _grants_and_tax(world, books, lines, by_meter, period, now)
    _balance_and_carry(world, books, lines)
    kept = tuple(line for line in lines if line.amount_minor)
    return RefInvoice(
        "OFF_CYCLE" if cause else "PERIOD",
        cause,
        period,
        now,
        kept,
        _total(kept),
        books.credit_balance,
        books.carry,
    )


def _grants_and_tax(
    world: World,
    books: Books,
    lines: list[RefLine],
    by_meter: dict[str, int],
    period: Period,
    now: datetime,
) -> None:
    for grant in world.grants:
        books.grants.setdefault(grant.name, grant.amount_minor)
    promotional = grants_for(world.grants, "PROMOTIONAL", period, now)
    for name, drawn in draw_grants(promotional, books.grants, _total(lines), by_meter):
        lines.append(RefLine("PROMOTIONAL_GRANT", name, -drawn))
    taxed, currency = Fraction(_total(lines)), currency_of(world)
    for rate in world.taxes:
        tax = rounded(taxed * Fraction(rate.percent) / 100, currency)
        lines.append(RefLine("TAX", rate.name, tax))
    prepaid = grants_for(world.grants, "PREPAID", period, now)
    for name, drawn in draw_grants(prepaid, books.grants, _total(lines), by_meter):
        lines.append(RefLine("PREPAID_GRANT", name, -drawn))


def _balance_and_carry(world: World, books: Books, lines: list[RefLine]) -> None:
    used = max(0, min(books.credit_balance, _total(lines)))
    books.credit_balance -= used
    lines.append(RefLine("CREDIT_BALANCE", "credit balance", -used))
    lines.append(RefLine("CARRIED_IN", "Carried from", books.carry))
    total = _total(lines)
    books.carry = 0
    if 0 < total < currency_of(world).smallest_minor:
        lines.append(RefLine("CARRIED_OUT", "Carried to next invoice", -total))
        books.carry = total
    elif total < 0:
        lines.append(RefLine("TO_CREDIT_BALANCE", "Moved to credit balance", -total))
        books.credit_balance -= total


def _total(lines: Sequence[RefLine]) -> int:
    return sum(line.amount_minor for line in lines)
