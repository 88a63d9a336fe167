"""Coupons, the cap and grants (§4, steps 2, 3, 5 and 7)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

from tests.reference.charges import Charge, pay_by_grant, take_off
from tests.reference.money import Currency, rounded
from tests.reference.periods import Period
from tests.reference.world import CapChange, Coupon, Grant, GrantKind


def reduce_by_coupons(
    charges: Sequence[Charge], coupons: Sequence[Coupon], currency: Currency
) -> list[tuple[Coupon, int]]:
    """Percent before amount, oldest first; lists each coupon that has taken something."""
    left = max(0, sum(charge.amount for charge in charges))
    taken = []
    for coupon in sorted(coupons, key=lambda c: (c.percent is None, c.created_at, c.name)):
        if coupon.percent is not None:
            share = Fraction(Decimal(coupon.percent)) / 100
            discount = min(left, rounded(left * share, currency))
        else:
            assert coupon.amount_minor is not None
            discount = min(left, coupon.amount_minor)
        if discount:
            take_off(discount, charges, currency)
            left -= discount
            taken.append((coupon, discount))
    return taken


@dataclass(frozen=True)
class Cap:
    """The cap of one period as it was asked for, and what earlier changes in it froze.

    `forgiven` stays forgiven; a cap never goes under `floor`, what was billable when it was set.
    """

    amount: int | None
    forgiven: int = 0
    floor: int = 0

    def billable(self, gross: int) -> int:
        """What of the gross may be billed."""
        after = max(0, gross - self.forgiven)
        return after if self.amount is None else min(after, max(self.amount, self.floor))

    def changed(self, amount: int | None, gross: int) -> "Cap":
        """A change freezes what is forgiven, and never goes under what is already billable."""
        billable = self.billable(gross)
        return Cap(amount, max(self.forgiven, gross - billable), billable)


@dataclass(frozen=True)
class Elsewhere:
    """What other invoices ask for a period, and what its cap has taken off them."""

    billed: int = 0
    cut: int = 0


def cap_at_start(changes: Sequence[CapChange], period: Period) -> Cap:
    """A period starts under the cap last set, with nothing forgiven."""
    before = [change for change in changes if change.at <= period.start]
    last = max(before, key=lambda change: change.at, default=None)
    return Cap(last.amount_minor if last else None)


def reduce_by_cap(
    charges: Sequence[Charge], cap: Cap, index: int, elsewhere: Elsewhere, currency: Currency
) -> int:
    """The cap credit of one period, taken off its lines; never more than they come to."""
    own = [charge for charge in charges if charge.period == index and charge.kind != "TRUE_UP"]
    new = sum(charge.left for charge in own)
    billable = cap.billable(new + elsewhere.billed + elsewhere.cut)
    credit = max(0, new - max(0, billable - elsewhere.billed))
    take_off(credit, own, currency)
    return credit


def draw_promotional(
    grants: Sequence[Grant],
    balances: dict[str, int],
    charges: Sequence[Charge],
    currency: Currency,
) -> list[tuple[str, int]]:
    """Draw on what the lines leave, a scoped grant on its meter's lines alone."""
    drawn = []
    for grant in sorted(grants, key=_grant_order):
        among = [c for c in charges if grant.scope is None or c.meter == grant.scope]
        room = min(sum(c.net for c in charges), sum(c.net for c in among))
        most = min(room, balances[grant.name])
        if most > 0:
            balances[grant.name] -= most
            pay_by_grant(most, among, currency)
            drawn.append((grant.name, most))
    return drawn


def draw_prepaid(
    grants: Sequence[Grant], balances: dict[str, int], charges: Sequence[Charge], left: int
) -> list[tuple[str, int]]:
    """Draw on what is to be paid, tax included; a scoped grant on its meter's lines without it."""
    drawn = []
    paid: dict[str, int] = {}
    for grant in sorted(grants, key=_grant_order):
        most = min(left, balances[grant.name])
        if grant.scope is not None:
            of_meter = sum(charge.net for charge in charges if charge.meter == grant.scope)
            most = min(most, of_meter - paid.get(grant.scope, 0))
        if most > 0:
            balances[grant.name] -= most
            left -= most
            if grant.scope is not None:
                paid[grant.scope] = paid.get(grant.scope, 0) + most
            drawn.append((grant.name, most))
    return drawn


def _grant_order(grant: Grant) -> tuple[bool, int, datetime, datetime, str]:
    never = datetime(9999, 1, 1, tzinfo=UTC)
    expires = grant.expires_at or never
    return (grant.scope is None, grant.priority, expires, grant.created_at, grant.name)


def grants_for(
    grants: Sequence[Grant], kind: GrantKind, period: Period, now: datetime
) -> list[Grant]:
    """Known, and valid at any instant of the period."""
    return [
        grant
        for grant in grants
        if grant.kind == kind
        and grant.created_at <= now
        and grant.valid_from < period.end
        and (grant.expires_at is None or grant.expires_at > period.start)
    ]
