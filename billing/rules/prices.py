"""What one meter or one fee costs. A broken price cannot be constructed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from itertools import pairwise

from billing.errors import Invalid
from billing.rules.money import Currency, Money


class Model(StrEnum):
    """How a quantity becomes an amount."""

    PER_UNIT = "PER_UNIT"
    PACKAGE = "PACKAGE"
    GRADUATED = "GRADUATED"
    VOLUME = "VOLUME"
    FLAT = "FLAT"


TIERED_MODELS = frozenset({Model.GRADUATED, Model.VOLUME})


class Timing(StrEnum):
    """When a fee is invoiced: with the period before it, or with its own."""

    ADVANCE = "ADVANCE"
    ARREARS = "ARREARS"


class InvalidPrice(Invalid):
    """A price that could not be applied to every quantity."""

    code = "INVALID_PRICE"


@dataclass(frozen=True, slots=True)
class Tier:
    """Units up to and including `up_to` (None: all further ones), at `unit_amount` major units.

    `flat_amount`, in major units, is added once when the tier is entered.
    """

    up_to: Decimal | None
    unit_amount: Decimal
    flat_amount: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class Terms:
    """One immutable version of a price. Amounts are in major units of `currency`.

    PER_UNIT and PACKAGE have one open tier; a package is `package_size` units. `minimum` and
    `maximum` bound what one whole period costs. Raises `InvalidPrice` when the model and its
    figures do not belong together.
    """

    model: Model
    currency: Currency
    tiers: tuple[Tier, ...] = ()
    allowance: Decimal = Decimal(0)
    package_size: Decimal | None = None
    minimum: Decimal = Decimal(0)
    maximum: Decimal | None = None
    amount: Decimal | None = None
    timing: Timing = Timing.ARREARS

    def __post_init__(self) -> None:
        if self.model is Model.FLAT:
            self._check_fee()
        else:
            self._check_ladder()
            self._check_bounds()

    def _check_fee(self) -> None:
        if self.tiers or self.allowance or self.package_size:
            raise InvalidPrice("A FLAT fee has no tiers and no allowance.", field="tiers")
        if self.minimum or self.maximum is not None:
            raise InvalidPrice("A FLAT fee is its own minimum and maximum.", field="minimum")
        if self.amount is None or self.amount < 0:
            raise InvalidPrice("A FLAT fee needs an amount of zero or more.", field="amount")
        Money.from_major(self.amount, self.currency)

    def _check_ladder(self) -> None:
        if self.amount is not None:
            raise InvalidPrice(f"A {self.model} price has no amount of its own.", field="amount")
        if self.timing is Timing.ADVANCE:
            raise InvalidPrice("Usage cannot be billed in advance.", field="timing")
        if self.allowance < 0:
            raise InvalidPrice("The allowance may not be negative.", field="allowance")
        if self.model not in TIERED_MODELS and len(self.tiers) != 1:
            raise InvalidPrice(
                f"A {self.model} price has exactly one unit amount.", field="unit_amount"
            )
        if (self.package_size is not None) != (self.model is Model.PACKAGE):
            raise InvalidPrice(
                "A PACKAGE price says how many units one package has, and no other does.",
                field="package_size",
            )
        if self.package_size is not None and self.package_size <= 0:
            raise InvalidPrice("A package has more than zero units.", field="package_size")
        check_ladder(self.tiers)

    def _check_bounds(self) -> None:
        if self.minimum < 0:
            raise InvalidPrice("The minimum may not be negative.", field="minimum")
        Money.from_major(self.minimum, self.currency)
        if self.maximum is not None:
            if self.maximum < self.minimum:
                raise InvalidPrice("The maximum is below the minimum.", field="maximum")
            Money.from_major(self.maximum, self.currency)

    def fee(self) -> Money:
        """The whole period's fee of a FLAT price."""
        assert self.amount is not None, self.model
        return Money.from_major(self.amount, self.currency)


def check_ladder(tiers: Sequence[Tier]) -> None:
    """Every quantity must fall in exactly one tier. Raises `InvalidPrice` naming the rung."""
    if not tiers:
        raise InvalidPrice("The ladder has no tiers.", field="tiers")
    for position, tier in enumerate(tiers, start=1):
        if tier.unit_amount < 0 or tier.flat_amount < 0:
            raise InvalidPrice(f"Tier {position} has a negative amount.", field="tiers")
        if (tier.up_to is None) != (position == len(tiers)):
            raise InvalidPrice(
                f"Tier {position}: only the last tier is open-ended, and it must be.", field="tiers"
            )
    bounds = [Decimal(0), *(tier.up_to for tier in tiers if tier.up_to is not None)]
    for lower, upper in pairwise(bounds):
        if upper <= lower:
            raise InvalidPrice(f"A tier up to {upper:f} follows {lower:f}.", field="tiers")


@dataclass(frozen=True, slots=True)
class Filters:
    """Which usage a price is for: for each named dimension, the values it takes."""

    values: Mapping[str, frozenset[str]]

    @property
    def key(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """The same filters in one spelling, so that they can name a ladder."""
        return tuple(sorted((name, tuple(sorted(v))) for name, v in self.values.items()))

    @property
    def specificity(self) -> int:
        """How many dimensions it names; of two that match, the higher wins."""
        return len(self.values)

    def matches(self, dimensions: Mapping[str, str]) -> bool:
        """Whether usage with these dimensions is meant. A missing dimension matches no name."""
        return all(dimensions.get(name) in allowed for name, allowed in self.values.items())

    def collides(self, other: "Filters") -> bool:
        """Whether some usage could match both with neither being more specific."""
        if self.specificity != other.specificity:
            return False
        shared = self.values.keys() & other.values.keys()
        return all(self.values[name] & other.values[name] for name in shared)


def most_specific(candidates: Sequence[Filters], dimensions: Mapping[str, str]) -> Filters | None:
    """The one whose price applies, or None: such usage is unpriced."""
    matching = [filters for filters in candidates if filters.matches(dimensions)]
    return max(matching, key=lambda filters: filters.specificity, default=None)
