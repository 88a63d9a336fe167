"""Coupons, the cap and grants (§4, steps 2, 3, 5 and 7)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

from tests.reference.charges import Charge, allocate
from tests.reference.money import Currency, rounded
from tests.reference.periods import Period
from tests.reference.world import CapChange, Coupon, Grant, GrantKind


def reduce_by_coupons(
    charges: Sequence[Charge], coupons: Sequence[Coupon], currency: Currency
) -> list[tuple[Coupon, int]]:
    """Percent before amount, oldest first; lists each coupon that had something to reduce."""
    left = max(0, sum(charge.amount for charge in charges))
    taken = []
    for coupon in sorted(coupons, key=lambda c: (c.percent is None, c.created_at, c.name)):
        if left <= 0:
            break
        if coupon.percent is not None:
            share = Fraction(Decimal(coupon.percent)) / 100
            discount = min(left, rounded(left * share, currency))
        else:
            assert coupon.amount_minor is not None
            discount = min(left, coupon.amount_minor)
        allocate(discount, charges, currency)
        left -= discount
        taken.append((coupon, discount))
    return taken


@dataclass(frozen=True)
class Cap:
    """The cap of one period, and what earlier changes in it froze as forgiven."""

    amount: int | None
    forgiven: int = 0

    def billable(self, gross: int) -> int:
        """What of the gross may be billed."""
        after = gross - self.forgiven
        return after if self.amount is None else min(after, self.amount)

    def changed(self, amount: int | None, gross: int) -> "Cap":
        """A change freezes what is forgiven, and never goes under what is already billable."""
        billable = self.billable(gross)
        floor = None if amount is None else max(amount, billable)
        return Cap(floor, gross - billable)


def cap_at_start(changes: Sequence[CapChange], period: Period) -> Cap:
    """A period starts under the cap last set, with nothing forgiven."""
    before = [change for change in changes if change.at <= period.start]
    last = max(before, key=lambda change: change.at, default=None)
    return Cap(last.amount_minor if last else None)


def reduce_by_cap(
    charges: Sequence[Charge], cap: Cap, period: Period, billed_earlier: int, currency: Currency
) -> tuple[int, int]:
    """The cap credit, taken off the period's own lines, and what of it was more than they are."""
    own = [charge for charge in charges if charge.period == period.index]
    gross = sum(charge.left for charge in own) + billed_earlier
    credit = gross - cap.billable(gross)
    return credit, credit - allocate(credit, own, currency)


def draw_grants(
    grants: Sequence[Grant], balances: dict[str, int], left: int, by_meter: dict[str, int]
) -> list[tuple[str, int]]:
    """Draw on what is positive, a scoped grant on its meter's lines alone; reduces both."""
    drawn = []
    for grant in sorted(grants, key=_grant_order):
        most = min(left, balances[grant.name])
        if grant.scope is not None:
            most = min(most, by_meter.get(grant.scope, 0))
        if most <= 0:
            continue
        balances[grant.name] -= most
        left -= most
        if grant.scope is not None:
            by_meter[grant.scope] -= most
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
