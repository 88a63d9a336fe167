"""The money rules of `design/product.md` (§2, §3, §4, §5, §9), as slowly and plainly as possible.

`invoices_of(world)` walks what happens to the organization in order (starts of subscriptions,
changes of the cap, closes of periods) and issues every invoice; `estimate_of(world, now)` walks up
to `now` and closes the open period there and then, on a copy. Nothing is shared with the product.

Readings
--------
Where the page and the product's stated choices leave room, these were taken.

1.  "Recorded by" includes the instant itself.
2.  The catalogue (plans, prices, versions, tax rates) is known from the beginning; subscriptions,
    their ends, overrides, events, voids, one-offs, coupons, grants and caps only once they are
    recorded.
3.  "Adjacent" segments touch in time. After a gap (cancelled, started again) equal terms make a
    new segment, so another line; the ladder's quantities run on over the gap.
4.  A merged line bears the name of its first segment.
5.  LATEST is the value at the end of the last stretch in which a price is in force for the series:
    the period's end, unless that was cancelled before.
6.  VOLUME's flat amount falls into the segment in which the quantity crosses its tier's floor.
7.  Advance fees are compared with what was billed by the fee of a plan; touching stretches on equal
    terms are one, under the name of the first, whatever the plan. So a change between plans with
    equal fees leaves nothing, and one between different fees leaves an unused part and a new fee.
    Each segment is a line; where some was billed already, what is missing is one line.
    A surplus billed for P+1 waits for P+1's close. Nobody is billed before a trial ends, and who
    comes back to a plan in the period they left it gets no off-cycle invoice: the close settles it.
8.  Lines on an invoice: usage (ladders by subscription and place in the plan, then time), arrears
    fees, settled advance fees, one-offs, unused fees, fees in advance: the "line order" of ties.
9.  Largest remainder hands out steps of the currency (10 fils for BHD), as every line is rounded to
    the step. Weights are what earlier reductions left of each positive line.
10. A coupon is used by an invoice that it takes something off; off-cycle invoices count.
11. Off-cycle invoices go through coupons, cap, grants, tax and balance like any other; true-ups and
    what is carried wait for the next period invoice. Their grants are those of the whole period.
12. The cap's gross at a change is that of the draft invoice at that instant, after coupons. A
    change at or after a period's end is not that period's. Every line is under the cap of the
    period it is a cost of; the cap credit never exceeds the lines it is taken off.
13. A true-up computes the corrected invoice's steps 1 to 3 anew (its fees and one-offs as billed;
    the coupons that took something off it, its own cap as it stands) and compares what is left of
    each price's lines. Lines of other periods keep what was taken off them, and its own bear the
    rest of the coupons. It changes neither a coupon's count nor what later counts as the net of a
    fee billed in advance.
14. A one-off recorded after its period's close is a one-off on the next period invoice.
15. A lower `priority` number draws first; a grant without expiry after those with one. A scoped
    grant draws on the sum of its meter's usage and true-up lines; a prepaid one on what is left of
    it, before tax.
16. Each tax rate applies to the same base.
17. "Carried from" is added before the last test, so a negative rest eats the carry first, and what
    is then still negative is moved to the credit balance.
18. A period invoice is issued even without lines; an off-cycle one only with a fee to bill.
19. An estimate's `in_advance` is what coupons, caps and promotional grants leave of next period's
    fees; `accrued` what they leave of all other lines but true-ups. While an earlier period is
    still CLOSING, its invoice is not in the books, and what is carried, true-ups, earlier one-offs
    and what is to be paid in advance for the open period are left to it.
"""

from dataclasses import dataclass
from datetime import datetime

from tests.reference.books import Books, cap_of
from tests.reference.fees import first_fee_charges
from tests.reference.in_force import Active, active_subscriptions, as_known
from tests.reference.invoices import (
    RefInvoice,
    close_period,
    gross_of,
    period_charges,
    reduced_bill,
    settle,
)
from tests.reference.periods import Period, period_at_index, period_of
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
    world = as_known(world, now)
    period = period_of(world.organization, now)
    books.is_behind = len(books.closed) < period.index
    charges = period_charges(world, books, period, now)
    bill = reduced_bill(world, books, period, period.index, charges, now)
    draft = settle(world, books, bill)
    nets = {True: 0, False: 0}
    for charge in charges:
        nets[charge.kind == "FEE_IN_ADVANCE"] += charge.net
    return RefEstimate(period, nets[False], nets[True], draft.total_minor, draft)


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
        known = as_known(world, at)
        if isinstance(happening, CapChange):
            _change_cap(known, books, happening)
            continue
        if isinstance(happening, int):
            period = period_at_index(world.organization, happening)
            invoices.append(close_period(known, books, period, at))
        else:
            invoices += _start(known, books, happening)
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
    if not charges or _was_on_before(world, active, period):
        return []
    bill = reduced_bill(world, books, period, None, charges, now)
    return [settle(world, books, bill, subscription.key)]


def _was_on_before(world: World, active: Active, period: Period) -> bool:
    """Who comes back to a plan in the period in which they left it: the close settles its fees."""
    return any(
        one.subscription.plan == active.subscription.plan
        and one.start < active.start
        and one.end > period.start
        for one in active_subscriptions(world, active.start)
    )
