"""Corrections (§5): a billed period computed again as a whole, minus all that was billed for it."""

from datetime import datetime

from tests.reference.books import Books, Closed, cap_of
from tests.reference.charges import Charge, take_off
from tests.reference.money import currency_of
from tests.reference.pricing import usage_charges
from tests.reference.reductions import reduce_by_cap, reduce_by_coupons
from tests.reference.world import World


def true_up(world: World, books: Books, closed: Closed, now: datetime) -> list[Charge]:
    """One line for each price whose amount is another one now."""
    own = closed.period.index
    charges = [
        *usage_charges(world, closed.period, now),
        *(charge.anew() for charge in closed.beside_usage),
    ]
    reduce_by_coupons(charges, closed.coupons, currency_of(world))
    cap = cap_of(world, books, closed.period)
    reduce_by_cap(charges, cap, own, books.elsewhere(own, own), currency_of(world))
    for index, cut in closed.cuts.items():
        if index != own:
            others = [charge for charge in charges if charge.period == index]
            left = sum(charge.left for charge in others)
            take_off(min(cut, left), others, currency_of(world))
    corrected: dict[str, int] = {}
    for charge in charges:
        corrected[charge.name] = corrected.get(charge.name, 0) + charge.left
    return _differences(world, corrected, _billed(books, own), own)


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
