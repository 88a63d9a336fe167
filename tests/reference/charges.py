"""Lines of step 1 of §4, before anything reduces them, and what reductions leave of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Literal

from tests.reference.money import Currency, largest_remainder

ChargeKind = Literal["USAGE", "FEE", "ONE_OFF", "UNUSED_FEE", "FEE_IN_ADVANCE", "TRUE_UP"]
LINE_ORDER: tuple[ChargeKind, ...] = (
    "USAGE",
    "FEE",
    "ONE_OFF",
    "UNUSED_FEE",
    "FEE_IN_ADVANCE",
    "TRUE_UP",
)


@dataclass
class Charge:
    """One line; `period` is the index of the period it is a cost of.

    `left` is what coupons and the cap have left of it, `granted` what promotional grants pay then.
    """

    kind: ChargeKind
    name: str
    amount: int
    period: int
    quantity: Fraction | None = None
    meter: str | None = None
    is_fee: bool = False
    left: int = field(init=False)
    granted: int = 0

    def __post_init__(self) -> None:
        self.left = self.amount

    @property
    def net(self) -> int:
        """What of it is to be paid, before tax."""
        return self.left - self.granted

    def anew(self) -> "Charge":
        """The same line with nothing taken off yet."""
        return replace(self, granted=0)


def in_line_order(charges: Sequence[Charge]) -> list[Charge]:
    """As lines stand on an invoice, and as ties are decided."""
    return sorted(charges, key=lambda charge: LINE_ORDER.index(charge.kind))


def take_off(reduction: int, charges: Sequence[Charge], currency: Currency) -> None:
    """A coupon or the cap takes a reduction off the positive lines, by largest remainder."""
    for charge, part in _shares(reduction, charges, currency):
        charge.left -= part


def pay_by_grant(drawn: int, charges: Sequence[Charge], currency: Currency) -> None:
    """A grant pays parts of the positive lines, by largest remainder."""
    for charge, part in _shares(drawn, charges, currency):
        charge.granted += part


def _shares(total: int, charges: Sequence[Charge], currency: Currency) -> list[tuple[Charge, int]]:
    positive = [charge for charge in charges if charge.net > 0]
    if not total:
        return []
    weights = [charge.net for charge in positive]
    assert total <= sum(weights), "no reduction is larger than what it reduces"
    return list(zip(positive, largest_remainder(total, weights, currency.step), strict=True))
