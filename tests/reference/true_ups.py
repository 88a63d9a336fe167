"""Corrections (§5): a billed period computed again as a whole, minus all that was billed for it."""

from datetime import datetime

from tests.reference.books import Books, Closed, cap_of
from tests.reference.charges import Charge, take_off
from tests.reference.money import Currency, currency_of, largest_remainder
from tests.reference.pricing import usage_charges
from tests.reference.reductions import reduce_by_cap, reduce_by_coupons
from tests.reference.world import World


def true_up(world: World, books: Books, closed: Closed, now: datetime) -> list[Charge]:
    """One line for each price whose amount is another one now."""
    own = closed.period.index
    currency = currency_of(world)
    charges = [
        *usage_charges(world, closed.period, now),
        *(charge.anew() for charge in closed.beside_usage),
    ]
    reduce_by_coupons(charges, closed.coupons, currency)
    _keep_others_as_billed(charges, closed, currency)
    cap = cap_of(world, books, closed.period)
    reduce_by_cap(charges, cap, own, books.elsewhere(own, own), currency)
    corrected: dict[str, int] = {}
    for charge in charges:
        corrected[charge.name] = corrected.get(charge.name, 0) + charge.left
    return _differences(world, corrected, _billed(books, own), own)


def _keep_others_as_billed(charges: list[Charge], closed: Closed, currency: Currency) -> None:
    """Charges of other periods keep what coupons and caps took; the period's own bear the rest.

    A coupon that moves from a fee in advance onto late usage would bring the fee's period over its
    cap (§1.7).
    """
    own = [charge for charge in charges if charge.period == closed.period.index]
    others = [charge for charge in charges if charge.period != closed.period.index]
    billed = [x for x in closed.beside_usage if x.period != closed.period.index]
    cut = sum(taken for of, taken in closed.cuts.items() if of != closed.period.index)
    by_coupons = sum(charge.amount - charge.left for charge in billed) - cut
    surplus = sum(charge.amount - charge.left for charge in others) - by_coupons
    for charge, before in zip(others, billed, strict=True):
        charge.left = before.left
    if surplus < 0:
        off = [charge.amount - charge.left for charge in own]
        if not any(off):
            return
        back = largest_remainder(min(-surplus, sum(off)), off, currency.step)
        for charge, part in zip(own, back, strict=True):
            charge.left += part
        return
    for bearers in (own, others):
        share = min(surplus, sum(max(0, charge.left) for charge in bearers))
        take_off(share, bearers, currency)
        surplus -= share


def _billed(books: Books, own: int) -> dict[str, int]:
    """The lines of the period's own invoice, and the true-ups since."""
    billed: dict[str, int] = {}
    for entry in books.entries:
        is_line = entry.kind == "LINE" and entry.on == own
        if is_line or (entry.kind == "TRUE_UP" and entry.of == own):
            billed[entry.name] = billed.get(entry.name, 0) + entry.net
    return billed


def _differences(
    world: World, corrected: dict[str, int], billed: dict[str, int], own: int
) -> list[Charge]:
    meters = {
        f"{plan.slug}/{price.slug}": price.meter for plan in world.plans for price in plan.prices
    }
    return [
        Charge("TRUE_UP", name, difference, own, meter=meters.get(name))
        for name in dict.fromkeys([*corrected, *billed])
        if (difference := corrected.get(name, 0) - billed.get(name, 0))
    ]
