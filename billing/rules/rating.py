"""Rating: turning a quantity into an amount, with the arithmetic that leads there.

The live estimate and the invoice both end here, so they cannot disagree. Everything is exact until
`Money.rounded`, once per line.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction

from billing.rules.money import Currency, Money
from billing.rules.periods import Period
from billing.rules.prices import Model, Terms, Tier


class StepKind(StrEnum):
    """What one step of a line's arithmetic does."""

    ALLOWANCE = "ALLOWANCE"
    TIER = "TIER"
    TIER_ENTRY = "TIER_ENTRY"
    PACKAGE = "PACKAGE"
    MINIMUM = "MINIMUM"
    MAXIMUM = "MAXIMUM"
    PRORATION = "PRORATION"


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a line's arithmetic, as shown to people and stored with the invoice.

    `quantity` units (for PRORATION: hours of `of` hours; for PACKAGE: packages of `up_to` units)
    at `unit_amount` major units give `exact_minor`. `up_to` is else the tier's bound, None when
    open-ended. MINIMUM and MAXIMUM say in `exact_minor` what they add or take, and in `quantity`
    the bound itself, in major units.
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
    quantity: Fraction
    exact_minor: Fraction
    amount: Money
    steps: tuple[Step, ...]


def rate_ladder(
    segments: Sequence[Segment], reached: Sequence[Fraction], period: Period
) -> list[Rated]:
    """Rate one ladder (one meter and filter) over a period split into `segments`.

    `reached[i]` is the quantity at the end of segment i, counted from the period's start. Let A be
    the allowances, each prorated by its segment's hours, and N(Q) = max(0, Q - A). A segment costs
    R(N(Q_end)) - R(N(Q_start)) by its own price; VOLUME prices by the tier of N(total). Tiers are
    not prorated; the minimum and the maximum are, as the allowance is, and hold for the ladder as
    a whole. So switching between identical prices at any instants changes nothing.
    """
    allowance = _prorated([segment.terms.allowance for segment in segments], segments, period)
    bounds = _Bounds.of(segments, period)
    total = max(Fraction(0), reached[-1] - allowance) if reached else Fraction(0)
    rated = []
    before = cost = Fraction(0)
    for position, (segment, after) in enumerate(zip(segments, reached, strict=True)):
        assert before <= after, (before, after)
        low, high = (max(Fraction(0), quantity - allowance) for quantity in (before, after))
        steps = _steps(segment.terms, low, high, total)
        if free := (after - before) - (high - low):
            steps.insert(0, Step(StepKind.ALLOWANCE, free, Decimal(0), Fraction(0)))
        exact = sum((step.exact_minor for step in steps), start=Fraction(0))
        steps += bounds.steps(cost, cost + exact, is_last=position == len(segments) - 1)
        cost += exact
        rated.append(_rated(segment, after - before, steps))
        before = after
    return rated


def _rated(segment: Segment, quantity: Fraction, steps: Sequence[Step]) -> Rated:
    exact = sum((step.exact_minor for step in steps), start=Fraction(0))
    amount = Money.rounded(exact, segment.terms.currency)
    return Rated(segment, quantity, exact, amount, tuple(steps))


def _prorated(figures: Sequence[Decimal], segments: Sequence[Segment], period: Period) -> Fraction:
    parts = zip(figures, segments, strict=True)
    return sum((Fraction(x) * period.share(s.span) for x, s in parts), start=Fraction(0))


@dataclass(frozen=True, slots=True)
class _Bounds:
    """What a ladder costs at least and at most, in major units; no maximum unless all have one."""

    minimum: Fraction
    maximum: Fraction | None
    minor_per_major: int

    @classmethod
    def of(cls, segments: Sequence[Segment], period: Period) -> "_Bounds":
        maxima = [x.terms.maximum for x in segments if x.terms.maximum is not None]
        is_bounded = len(maxima) == len(segments) > 0
        return cls(
            _prorated([x.terms.minimum for x in segments], segments, period),
            _prorated(maxima, segments, period) if is_bounded else None,
            segments[0].terms.currency.minor_per_major if segments else 1,
        )

    def steps(self, before: Fraction, after: Fraction, *, is_last: bool) -> list[Step]:
        """What the bounds change where the ladder's cost goes from `before` to `after`."""
        steps = []
        if self.maximum is not None:
            most = self.maximum * self.minor_per_major
            if over := max(Fraction(0), after - most) - max(Fraction(0), before - most):
                steps.append(Step(StepKind.MAXIMUM, self.maximum, Decimal(0), -over))
        least = self.minimum * self.minor_per_major
        if is_last and after < least:
            steps.append(Step(StepKind.MINIMUM, self.minimum, Decimal(0), least - after))
        return steps


def _steps(terms: Terms, low: Fraction, high: Fraction, total: Fraction) -> list[Step]:
    match terms.model:
        case Model.PACKAGE:
            return _package_steps(terms, low, high)
        case Model.VOLUME:
            return _volume_steps(terms, low, high, total)
        case _:
            return _tier_steps(terms.tiers, low, high, terms.currency)


def _package_steps(terms: Terms, low: Fraction, high: Fraction) -> list[Step]:
    """Whole packages, rounded up: of 2,001 units at 1,000 a package, three."""
    assert terms.package_size is not None, terms
    size, [tier] = Fraction(terms.package_size), terms.tiers
    packages = Fraction(math.ceil(high / size) - math.ceil(low / size))
    if not packages:
        return []
    exact = packages * Fraction(tier.unit_amount) * terms.currency.minor_per_major
    return [Step(StepKind.PACKAGE, packages, tier.unit_amount, exact, up_to=terms.package_size)]


def _volume_steps(terms: Terms, low: Fraction, high: Fraction, total: Fraction) -> list[Step]:
    """Everything at the unit amount of the one tier that the period's total falls in."""
    full = [x for x in terms.tiers if x.up_to is not None and x.up_to < total]
    tier = terms.tiers[len(full)]
    floor = Fraction(full[-1].up_to or 0) if full else Fraction(0)
    steps = []
    if tier.flat_amount and low <= floor < high:
        steps.append(_entry(tier, terms.currency))
    if high > low:
        exact = (high - low) * Fraction(tier.unit_amount) * terms.currency.minor_per_major
        steps.append(Step(StepKind.TIER, high - low, tier.unit_amount, exact, tier.up_to))
    return steps


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
            steps.append(_entry(tier, currency))
        slice_ = ceiling - max(low, floor)
        if slice_ > 0:
            exact = slice_ * Fraction(tier.unit_amount) * currency.minor_per_major
            steps.append(Step(StepKind.TIER, slice_, tier.unit_amount, exact, tier.up_to))
        floor = ceiling if tier.up_to is None else Fraction(tier.up_to)
    return steps


def _entry(tier: Tier, currency: Currency) -> Step:
    exact = Fraction(tier.flat_amount) * currency.minor_per_major
    return Step(StepKind.TIER_ENTRY, Fraction(1), tier.flat_amount, exact, tier.up_to)


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
        quantity=Fraction(1),
        exact_minor=exact_minor,
        amount=Money.rounded(exact_minor, segment.terms.currency),
        steps=steps,
    )
