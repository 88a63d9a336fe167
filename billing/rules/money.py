"""Money: integer minor units of one currency, and the one rounding."""

import math
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction

from billing.errors import Invalid

MINUS = "−"


class Currency(StrEnum):
    """The currencies we can bill in. Another is refused until it has a row in `_TABLE`."""

    USD = "USD"
    EUR = "EUR"
    GBP = "GBP"
    CAD = "CAD"
    AUD = "AUD"
    JPY = "JPY"
    BHD = "BHD"

    @property
    def exponent(self) -> int:
        """Digits after the point: 2 for USD, 0 for JPY, 3 for BHD (ISO 4217)."""
        return _TABLE[self].exponent

    @property
    def step(self) -> int:
        """Minor units that amounts are rounded to: Stripe takes BHD in tens only."""
        return _TABLE[self].step

    @property
    def smallest_charge_minor(self) -> int:
        """Below this Stripe marks an invoice paid and moves it to the customer's balance."""
        return _TABLE[self].smallest_charge_minor

    @property
    def symbol(self) -> str:
        """What stands before an amount: "$", "CA$"."""
        return _TABLE[self].symbol

    @property
    def minor_per_major(self) -> int:
        """100 for USD, 1 for JPY."""
        return int(10**self.exponent)


@dataclass(frozen=True, slots=True)
class _Row:
    exponent: int
    step: int
    smallest_charge_minor: int
    symbol: str


# Exponents: ISO 4217. Smallest charges: Stripe's minimum charge amounts; it publishes none for BHD.
_TABLE = {
    Currency.USD: _Row(2, 1, 50, "$"),
    Currency.EUR: _Row(2, 1, 50, "€"),
    Currency.GBP: _Row(2, 1, 30, "£"),
    Currency.CAD: _Row(2, 1, 50, "CA$"),
    Currency.AUD: _Row(2, 1, 50, "A$"),
    Currency.JPY: _Row(0, 1, 50, "¥"),
    Currency.BHD: _Row(3, 10, 500, "BHD\u00a0"),
}


class CurrencyMismatch(Invalid):
    """Two currencies met in one sum."""

    code = "CURRENCY_MISMATCH"

    def __init__(self, ours: Currency, theirs: Currency) -> None:
        super().__init__(f"{theirs} cannot be added to {ours}.")


@dataclass(frozen=True, slots=True)
class Money:
    """An exact amount of one currency.

    `minor` counts the currency's smallest unit: 1234 is $12.34 but ¥1234. Mixing currencies raises
    `CurrencyMismatch`. Never a float, in or out.
    """

    minor: int
    currency: Currency

    def __add__(self, other: "Money") -> "Money":
        if self.currency != other.currency:
            raise CurrencyMismatch(self.currency, other.currency)
        return Money(self.minor + other.minor, self.currency)

    def __neg__(self) -> "Money":
        return Money(-self.minor, self.currency)

    def __str__(self) -> str:
        """As it is written for people: "$1,234.50", "¥5", "−$0.31"."""
        digits = f"{abs(self.major):,.{self.currency.exponent}f}"
        return f"{MINUS if self.minor < 0 else ''}{self.currency.symbol}{digits}"

    @property
    def major(self) -> Decimal:
        """As people and other apps see it: 1234 USD is Decimal("12.34")."""
        return Decimal(self.minor).scaleb(-self.currency.exponent)

    @classmethod
    def rounded(cls, exact_minor: Fraction, currency: Currency) -> "Money":
        """To the currency's step, half away from zero. Called once per line and nowhere else."""
        steps = abs(exact_minor) / currency.step
        whole = math.floor(steps + Fraction(1, 2)) * currency.step
        return cls(whole if exact_minor >= 0 else -whole, currency)

    @classmethod
    def from_major(cls, major: Decimal, currency: Currency) -> "Money":
        """Exactly this amount. Raises `Invalid` when it is finer than the currency's step."""
        minor = Fraction(major) * currency.minor_per_major
        if minor.denominator != 1 or minor.numerator % currency.step:
            step = Money(currency.step, currency).major
            raise Invalid(
                f"{major:f} {currency} is finer than {step:f}, the smallest amount of {currency}.",
                code="INVALID_AMOUNT",
            )
        return cls(minor.numerator, currency)


def total_of(amounts: "list[Money]", currency: Currency) -> Money:
    """Their sum, zero of `currency` for none. Raises `CurrencyMismatch`."""
    return sum(amounts, start=Money(0, currency))
