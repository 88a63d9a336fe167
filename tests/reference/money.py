"""Currencies, the one rounding, and fair shares (§2, §4)."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from math import floor

from tests.reference.world import World


@dataclass(frozen=True)
class Currency:
    """One row of the table in §2."""

    exponent: int
    step: int
    smallest_minor: int


def currency_of(world: World) -> Currency:
    """The row of the world's currency; any other code is a KeyError, as the page refuses it."""
    exponent, step, smallest = {
        "USD": (2, 1, 50),
        "EUR": (2, 1, 50),
        "GBP": (2, 1, 30),
        "CAD": (2, 1, 50),
        "AUD": (2, 1, 50),
        "JPY": (0, 1, 50),
        "BHD": (3, 10, world.bhd_smallest_minor),
    }[world.organization.currency]
    return Currency(exponent, step, smallest)


def minor(major: Decimal, currency: Currency) -> Fraction:
    """An exact amount of minor units, not yet rounded."""
    return Fraction(major) * Fraction(10) ** currency.exponent


def rounded(amount: Fraction, currency: Currency) -> int:
    """Half away from zero, to the currency's step."""
    steps = floor(abs(amount) / currency.step + Fraction(1, 2))
    return steps * currency.step * (-1 if amount < 0 else 1)


def largest_remainder(total: int, weights: Sequence[int], step: int) -> list[int]:
    """Split `total` in proportion: whole steps first, then one each to the largest remainders."""
    if total % step:
        step = 1
    units = total // step
    exact = [Fraction(units * weight, sum(weights)) for weight in weights]
    parts = [floor(share) for share in exact]
    by_remainder = sorted(range(len(parts)), key=lambda i: (parts[i] - exact[i], i))
    for i in by_remainder[: units - sum(parts)]:
        parts[i] += 1
    return [part * step for part in parts]
