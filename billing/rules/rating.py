"""Rating: turning a quantity into an amount, with the arithmetic that leads there.

The live estimate and the invoice both end here, so they cannot disagree. Everything is exact until
`Money.rounded`, once per line.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction

from billing.rules.money import Currency, Money
from billing.rules.periods import Period
from billing.rules.prices import Terms, Tier
from billing.rules.quantities import EXACT


class StepKind(StrEnum):
    """What one step of a line's arithmetic does."""

    ALLOWANCE = "ALLOWANCE"
    TIER = "TIER"
    TIER_ENTRY = "TIER_ENTRY"
    PRORATION = "PRORATION"


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a line's arithmetic, as shown to people and stored with the invoice.

    `quantity` units (for PRORATION: hours of `of` hours) at `unit_amount` major units give
    `exact_minor`. `up_to` is the tier's bound, None when open-ended.
    """

    kind: StepKind
    quantity: Fraction
    unit_amount: Decimal
    exact_minor: Fraction
    up_to: Decimal | None = None
    of: int | None = None


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a period in which one version of a price holds, of one ladder.

    `price_version` is the version's public name, such as `pro/egress/USD@2`.
    """

    price_version: str
    terms: Terms
    span: Period


@dataclass(frozen=True, slots=True)
class Rated:
    """What one segment costs, and why."""

    segment: Segment
    quantity: Decimal
    exact_minor: Fraction
    amount: Money
    steps: tuple[Step, ...]


def rate_ladder(
    segments: Sequence[Segment], reached: Sequence[Decimal], period: Period
) -> list[Rated]:
    """Rate one ladder (one meter and filter) over a period split into `segments`.

    `reached[i]` is the quantity at the end of segment i, counted from the period's start. Let A be
    the allowances, each prorated by its segment's hours, and N(Q) = max(0, Q - A). A segment costs
    R(N(Q_end)) - R(N(Q_start)) by its own price; tiers are not prorated. So switching between
    identical prices at any instants changes nothing.
    """
    allowance = sum(
        (Fraction(s.terms.allowance) * period.share(s.span) for s in segments), start=Fraction(0)
    )
    rated, before = [], Decimal(0)
    for segment, after in zip(segments, reached, strict=True):
        rated.append(_rate_segment(segment, before, after, allowance))
        before = after
    return rated


def _rate_segment(segment: Segment, before: Decimal, after: Decimal, allowance: Fraction) -> Rated:
    assert before <= after, (before, after)
    terms = segment.terms
    low, high = (max(Fraction(0), Fraction(q) - allowance) for q in (before, after))
    steps = list(_tier_steps(terms.tiers, low, high, terms.currency))
    free = (Fraction(after) - Fraction(before)) - (high - low)
    if free:
        steps.insert(0, Step(StepKind.ALLOWANCE, free, Decimal(0), Fraction(0)))
    exact_minor = sum((step.exact_minor for step in steps), start=Fraction(0))
    return Rated(
        segment=segment,
        quantity=EXACT.subtract(after, before),
        exact_minor=exact_minor,
        amount=Money.rounded(exact_minor, terms.currency),
        steps=tuple(steps),
    )


def _tier_steps(
    tiers: Sequence[Tier], low: Fraction, high: Fraction, currency: Currency
) -> list[Step]:
    """The slices of `(low, high]`, each at the tier it falls in.

    With tiers "first 100 at 0.10, rest at 0.05", 0 to 120 is 100 x 0.10 + 20 x 0.05 = 11.00.
    """
    steps, floor = [], Fraction(0)
    for tier in tiers:
        ceiling = high if tier.up_to is None else min(high, Fraction(tier.up_to))
        if tier.flat_amount and low <= floor < high:
            entry = Fraction(tier.flat_amount) * currency.minor_per_major
            steps.append(
                Step(StepKind.TIER_ENTRY, Fraction(1), tier.flat_amount, entry, tier.up_to)
            )
        slice_ = ceiling - max(low, floor)
        if slice_ > 0:
            exact = slice_ * Fraction(tier.unit_amount) * currency.minor_per_major
            steps.append(Step(StepKind.TIER, slice_, tier.unit_amount, exact, tier.up_to))
        floor = ceiling if tier.up_to is None else Fraction(tier.up_to)
    return steps


def rate_fee(segment: Segment, period: Period) -> Rated:
    """A FLAT fee for the hours of `period` in which it held, over the hours of the period.

    29.00 a month from hour 350 of 720 is 29.00 x 370/720 = 14.9027..., so 14.90.
    """
    fee = segment.terms.fee()
    exact_minor = fee.minor * period.share(segment.span)
    steps: tuple[Step, ...] = ()
    if segment.span != period:
        hours = Fraction(segment.span.hours)
        steps = (Step(StepKind.PRORATION, hours, fee.major, exact_minor, of=period.hours),)
    return Rated(
        segment=segment,
        quantity=Decimal(1),
        exact_minor=exact_minor,
        amount=Money.rounded(exact_minor, segment.terms.currency),
        steps=steps,
    )
