"""Corrections (§5): a billed period computed again as a whole, minus all that was billed for it."""

from datetime import datetime

from tests.reference.books import Books, Closed, cap_of
from tests.reference.charges import Charge
from tests.reference.money import currency_of
from tests.reference.periods import period_at_index
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
    for index in sorted({own, *(charge.period for charge in charges)}):
        cap = cap_of(world, books, period_at_index(world.organization, index))
        beside = books.elsewhere(index, own, _true_ups_on(books, own, index))
        reduce_by_cap(charges, cap, index, beside, currency_of(world))
    corrected: dict[str, int] = {}
    for charge in charges:
        corrected[charge.name] = corrected.get(charge.name, 0) + charge.left
    return _differences(world, corrected, _billed(books, own), own)


def _true_ups_on(books: Books, own: int, of: int) -> int:
    """What the period's own invoice has in true-ups of another period."""
    return sum(
        entry.net
        for entry in books.entries
        if (entry.kind, entry.on, entry.of) == ("TRUE_UP", own, of) and of != own
    )


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
