"""A customer's standing discount, and what it takes off an invoice's lines."""

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Annotated

import msgspec


class Coupon(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """So many percent, or so many minor units of `currency`: one of the two."""

    id: str = "coupon"
    percent_off: Annotated[int, msgspec.Meta(ge=1, le=100)] | None = None
    amount_off: Annotated[int, msgspec.Meta(ge=1)] | None = None
    currency: str = "usd"

    def __post_init__(self) -> None:
        if (self.percent_off is None) == (self.amount_off is None):
            raise ValueError("A coupon is of percent_off or of amount_off.")

    def off(self, amounts: Sequence[int], currency: str) -> list[int]:
        """What it takes off each of these amounts, in minor units: never more than all of them.

        Shares are cut off a running total, so that they add up to the whole to the unit. Nothing
        is taken off in another currency than an amount's own.
        """
        total = sum(amounts)
        if total <= 0 or (self.amount_off is not None and currency != self.currency):
            return [0] * len(amounts)
        whole = self._whole(total)
        edges = [_half_up(whole * so_far, total) for so_far in accumulate(amounts, initial=0)]
        return [end - start for start, end in pairwise(edges)]

    def _whole(self, total: int) -> int:
        if self.percent_off is not None:
            return _half_up(total * self.percent_off, 100)
        assert self.amount_off is not None
        return min(self.amount_off, total)


class Discount(msgspec.Struct, frozen=True):
    """A coupon, applied to a customer since `start`, in unix seconds."""

    id: str
    coupon: Coupon
    start: int


def _half_up(dividend: int, divisor: int) -> int:
    return (2 * dividend + divisor) // (2 * divisor)
