"""The money rules of `design/product.md` (§2, §3, §4, §5, §9), as slowly and plainly as possible.

`invoices_of(world)` walks what happens to the organization in order (starts of subscriptions,
changes of the cap, closes of periods) and issues every invoice; `estimate_of(world, now)` walks up
to `now` and closes the open period there and then, on a copy. Nothing is shared with the product.

Readings
--------
Where the page and the product's stated choices leave room, these were taken.

1.  "Recorded by" includes the instant itself.
2.  The catalogue (plans, prices, versions, tax rates) is known from the beginning; subscriptions,
    their ends, events, voids, one-offs, coupons, grants and caps only once they are recorded.
3.  "Adjacent" segments touch in time. After a gap (cancelled, started again) equal terms make a
    new segment, so another line; the ladder's quantities run on over the gap.
4.  A merged line bears the name of its first segment.
5.  LATEST is the value at the period's end (the last event before it, recorded by now), even if
    the last stretch with a price ends earlier.
6.  VOLUME's flat amount falls into the segment in which the quantity crosses its tier's floor.
7.  Fees are compared with what was billed by (price slug, amount, timing), whatever the plan: so a
    change between plans with equal fees leaves nothing, and one between different fees leaves an
    unused part and a new fee. A surplus billed for P+1 waits for P+1's close.
8.  Lines on an invoice: usage by (meter, filter, time), arrears fees, settled advance fees, fees in
    advance, one-offs. That is the "line order" of ties.
9.  Largest remainder hands out steps of the currency (10 fils for BHD), as every line is rounded to
    the step. Weights are what earlier reductions left of each positive line.
10. A coupon is used up by an invoice on which something is left to reduce when its turn comes, also
    if it rounds to nothing; off-cycle invoices count.
11. Off-cycle invoices go through coupons, grants, tax, balance and carry like any other; true-ups
    and cap credits wait for the next period invoice. Their grants are those of the whole period.
12. The cap's gross at a change is that of the draft invoice at that instant, after coupons. A
    change at or after a period's end is not that period's. The cap credit is the whole difference
    gross − billable, even beyond the lines it can be allocated to, and no floor at zero is put
    under gross − forgiven.
13. A true-up computes the corrected invoice's steps 1 to 3 anew (its fees as billed; the coupons
    and the cap as they stood at its close) and compares what is left of each price's lines; if a
    coupon's allocation moves between prices, so do true-ups. A part of the cap credit beyond the
    period's own lines is compared under the name "cap". They change neither a coupon's count
    nor what later counts as the net of a fee billed in advance.
14. A one-off recorded after its period's close is a true-up.
15. A lower `priority` number draws first; a grant without expiry after those with one. A scoped
    grant draws on the sum of its meter's usage and true-up lines; a prepaid one not on their tax.
16. Each tax rate applies to the same base.
17. "Carried from" is added before the last test, so a negative rest eats the carry first, and what
    is then still negative is moved to the credit balance.
18. A period invoice is issued even without lines; an off-cycle one only with a fee to bill.
19. An estimate's `in_advance` is what coupons left of next period's fees; `accrued` is what coupons
    and cap left of this period's own lines. An earlier period still CLOSING is not in the books.
"""

from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime

from tests.reference.charges import Charge
from tests.reference.fees import first_fee_charges
from tests.reference.in_force import active_subscriptions
from tests.reference.invoices import (
    Books,
    RefInvoice,
    cap_of,
    close_period,
    coupons_for,
    gross_of,
    period_charges,
    settle,
)
from tests.reference.money import currency_of
from tests.reference.periods import Period, period_at_index, period_of
from tests.reference.reductions import reduce_by_coupons
from tests.reference.world import CapChange, Subscription, World


@dataclass(frozen=True)
class RefEstimate:
    """What the page shows at an instant; `invoice` is the draft it is the sum of."""

    period: Period
    accrued_minor: int
    in_advance_minor: int
    total_minor: int
    invoice: RefInvoice


Happening = Subscription | CapChange | int


def invoices_of(world: World) -> list[RefInvoice]:
    """Every invoice up to the last close, in order of issue."""
    return _walk(world, world.closes[-1])[1] if world.closes else []


def estimate_of(world: World, now: datetime) -> RefEstimate:
    """The invoice of the period that `now` is in, if it were closed now."""
    books, _ = _walk(world, now)
    period = period_of(world.organization, now)
    charges = _reduced(world, books, period, now)
    draft = close_period(world, deepcopy(books), period, now)
    own = [charge for charge in charges if charge.period == period.index]
    credit = sum(line.amount_minor for line in draft.lines if line.kind == "CAP_CREDIT")
    return RefEstimate(
        period,
        accrued_minor=sum(charge.left for charge in own) + credit,
        in_advance_minor=sum(c.left for c in charges if c.period != period.index),
        total_minor=draft.total_minor,
        invoice=draft,
    )


def _reduced(world: World, books: Books, period: Period, now: datetime) -> list[Charge]:
    charges = period_charges(world, books, period, now)
    reduce_by_coupons(charges, coupons_for(world, books, now), currency_of(world))
    return charges


def _walk(world: World, until: datetime) -> tuple[Books, list[RefInvoice]]:
    """Everything that happens up to an instant; of ties, closes come first, then starts."""
    happenings: list[tuple[datetime, int, int, Happening]] = []
    happenings += [(at, 0, index, index) for index, at in enumerate(world.closes)]
    happenings += [(s.created_at, 1, i, s) for i, s in enumerate(world.subscriptions)]
    happenings += [(change.at, 2, i, change) for i, change in enumerate(world.caps)]
    books, invoices = Books(), list[RefInvoice]()
    for at, _, _, happening in sorted(happenings, key=lambda one: one[:3]):
        if at > until:
            break
        if isinstance(happening, CapChange):
            _change_cap(world, books, happening)
            continue
        if isinstance(happening, int):
            period = period_at_index(world.organization, happening)
            invoices.append(close_period(world, books, period, at))
        else:
            invoices += _start(world, books, happening)
    return books, invoices


def _change_cap(world: World, books: Books, change: CapChange) -> None:
    period = period_of(world.organization, change.at)
    gross = gross_of(world, books, period, change.at)
    books.caps[period.index] = cap_of(world, books, period).changed(change.amount_minor, gross)


def _start(world: World, books: Books, subscription: Subscription) -> list[RefInvoice]:
    """A start bills the rest of its period at once, unless in trial or half of a plan change."""
    now = subscription.created_at
    (active,) = [
        one for one in active_subscriptions(world, now) if one.subscription == subscription
    ]
    if subscription.changes or active.fees_from > active.start:
        return []
    period = period_of(world.organization, active.start)
    charges = first_fee_charges(world, period, active)
    if not charges:
        return []
    coupons = coupons_for(world, books, now)
    taken = reduce_by_coupons(charges, coupons, currency_of(world))
    books.advance += charges
    return [settle(world, books, charges, taken, 0, [], period, now, subscription.key)]
