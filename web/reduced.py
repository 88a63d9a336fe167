"""What makes the bill smaller or adds tax to it, as the billing page sums it up."""

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from billing.estimates import Estimate
from billing.rules.lines import PERIOD_KINDS, LineKind
from billing.rules.money import Money

_CREDITS = (
    LineKind.COUPON,
    LineKind.CAP_CREDIT,
    LineKind.PROMOTIONAL_CREDIT,
    LineKind.PREPAID_CREDIT,
    LineKind.CREDIT_BALANCE,
)

_CARRIED = (LineKind.CARRIED_IN, LineKind.CARRIED_OUT, LineKind.MOVED_TO_CREDIT)


@dataclass(frozen=True, slots=True)
class MaximumShown:
    """How far the period is towards its maximum. `bar` is how full, of 100.

    `asked` is another amount than `amount` when the period was above it already as it was set.
    """

    amount: Money | None
    asked: Money | None
    used: Money
    forgiven: Money
    remaining: Money | None
    bar: int


def maximum_of(estimate: Estimate) -> MaximumShown | None:
    """None when there is nothing to say: no maximum, and none that has forgiven anything."""
    cap = estimate.charges.reductions.cap_of(estimate.period)
    standing = estimate.maximum
    if cap is None or standing is None:
        return None
    currency = estimate.draft.currency

    def shown(minor: int | None) -> Money | None:
        return None if minor is None else Money(minor, currency)

    amount = standing.amount_minor
    return MaximumShown(
        amount=shown(amount),
        asked=shown(cap.terms.amount_minor),
        used=Money(standing.used_minor, currency),
        forgiven=Money(standing.forgiven_minor, currency),
        remaining=shown(standing.remaining_minor),
        bar=max(0, standing.used_minor) * 100 // amount if amount else 0,
    )


def reduced_context(estimate: Estimate) -> dict[str, Any]:
    """The page's sums beside usage, fees and items: with these they come to the invoice's total.

    And its headline before rounding.
    """
    own = [line for line in estimate.lines if line.kind in PERIOD_KINDS]
    exact = sum((line.exact_minor for line in own), start=Fraction(0))
    is_reduced = any(line.reduced_minor or line.granted_minor for line in own)
    return {
        "accrued_exact": Fraction(estimate.accrued.minor) if is_reduced else exact,
        "fees_ahead": _sum(estimate, [LineKind.FEE_IN_ADVANCE]),
        "unused_fees": _sum(estimate, [LineKind.UNUSED_FEE]),
        "credits": _sum(estimate, _CREDITS),
        "corrections": _sum(estimate, [LineKind.TRUE_UP]),
        "tax": _sum(estimate, [LineKind.TAX]),
        "carried": _sum(estimate, _CARRIED),
        "maximum": maximum_of(estimate),
    }


def _sum(estimate: Estimate, kinds: Iterable[LineKind]) -> Money:
    wanted = frozenset(kinds)
    minor = sum(line.amount.minor for line in estimate.lines if line.kind in wanted)
    return Money(minor, estimate.draft.currency)
