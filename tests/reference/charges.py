"""Lines of step 1 of §4, before anything reduces them, and what reductions leave of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

from tests.reference.money import Currency, largest_remainder

FeeKey = tuple[str, str]
ChargeKind = Literal["USAGE", "FEE", "UNUSED_FEE", "FEE_IN_ADVANCE", "ONE_OFF"]


@dataclass
class Charge:
    """One line; `period` is the index of the period it is a cost of, `left` shrinks."""

    kind: ChargeKind
    name: str
    amount: int
    period: int
    quantity: Fraction | None = None
    meter: str | None = None
    fee: FeeKey | None = None
    left: int = field(init=False)

    def __post_init__(self) -> None:
        self.left = self.amount

    def anew(self) -> "Charge":
        """The same line with nothing taken off yet."""
        return Charge(
            self.kind, self.name, self.amount, self.period, self.quantity, self.meter, self.fee
        )


def allocate(reduction: int, charges: Sequence[Charge], currency: Currency) -> int:
    """Take a reduction off the positive lines by largest remainder; answers what found room."""
    positive = [charge for charge in charges if charge.left > 0]
    weights = [charge.left for charge in positive]
    reduction = min(reduction, sum(weights))
    if reduction <= 0:
        return 0
    for charge, part in zip(
        positive, largest_remainder(reduction, weights, currency.step), strict=True
    ):
        charge.left -= part
    return reduction
