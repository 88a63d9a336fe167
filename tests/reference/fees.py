"""Recurring fees (§4): what a period deserves, and what of it is billed when."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from fractions import Fraction
from itertools import pairwise

from tests.reference.charges import Charge, ChargeKind
from tests.reference.in_force import Active, active_subscriptions, plan_of, terms_of, version_at
from tests.reference.money import Currency, currency_of, minor, rounded
from tests.reference.periods import Period, hour_up, share_of
from tests.reference.world import Price, PriceVersion, World


@dataclass(frozen=True)
class FeeSegment:
    """A stretch of one fee on one set of terms; `name` is its plan's and its own."""

    slug: str
    name: str
    version: PriceVersion
    start: datetime
    end: datetime

    def amount(self, period: Period, currency: Currency) -> int:
        """Fee times the share of the period's hours, rounded once."""
        share = share_of(period, self.start, self.end)
        return rounded(share * minor(self.version.amount, currency), currency)

    def goes_on(self, other: "FeeSegment") -> bool:
        """Whether the other one follows it on equal terms."""
        return self.end == other.start and terms_of(self.version) == terms_of(other.version)


def fee_segments(world: World, period: Period, actives: Sequence[Active]) -> list[FeeSegment]:
    """The fees of these subscriptions in the period; touching ones on equal terms are one."""
    parts = []
    for active in actives:
        plan = plan_of(world, active.subscription.plan)
        for price in plan.prices:
            if price.meter is None:
                parts += _parts(f"{plan.slug}/{price.slug}", price, period, active)
    merged: list[FeeSegment] = []
    last: dict[str, int] = {}
    for part in sorted(parts, key=lambda part: part.start):
        place = last.get(part.slug)
        if place is not None and merged[place].goes_on(part):
            merged[place] = replace(merged[place], end=part.end)
        else:
            last[part.slug] = len(merged)
            merged.append(part)
    return merged


def _parts(name: str, price: Price, period: Period, active: Active) -> list[FeeSegment]:
    start, end = max(active.fees_from, period.start), min(active.end, period.end)
    if start >= end:
        return []
    dates = [hour_up(version.effective_from) for version in price.versions]
    cuts = sorted({start, end, *(date for date in dates if start < date < end)})
    found = []
    for begin, stop in pairwise(cuts):
        version = version_at(price, begin)
        if version:
            found.append(FeeSegment(price.slug, name, version, begin, stop))
    return found


def fee_charges(
    world: World,
    period: Period,
    following: Period,
    now: datetime,
    billed: Sequence[Charge],
    *,
    is_behind: bool = False,
) -> list[Charge]:
    """Fee lines of the invoice that closes `period`, given the advance lines billed earlier.

    When `is_behind`, the invoice before it will have what is to be paid in advance.
    """
    actives = active_subscriptions(world, now)
    this = fee_segments(world, period, actives)
    if is_behind:
        billed = [*billed, *_in_advance(world, period, actives, billed)]
    arrears = [
        Charge("FEE", s.name, s.amount(period, currency_of(world)), period.index, is_fee=True)
        for s in this
        if s.version.timing == "ARREARS"
    ]
    return [
        charge
        for charge in [
            *arrears,
            *_settled(world, period, this, billed),
            *_in_advance(world, following, actives, billed),
        ]
        if charge.amount
    ]


def _is_on_trial(active: Active, instant: datetime) -> bool:
    return active.fees_from > active.start and active.fees_from > instant


def _settled(
    world: World, period: Period, segments: Sequence[FeeSegment], billed: Sequence[Charge]
) -> list[Charge]:
    """What the period deserves in advance fees, minus what was already billed for it."""
    currency = currency_of(world)
    charges = []
    for name, parts, lines in _by_name(world, period, segments, billed):
        gross = sum(line.amount for line in lines)
        deserved = sum(parts)
        if deserved >= gross:
            charges += _fees("FEE", name, parts, gross, period)
        else:
            kept = Fraction(sum(line.net for line in lines), gross)
            credit = rounded((deserved - gross) * kept, currency)
            charges.append(Charge("UNUSED_FEE", name, credit, period.index, is_fee=True))
    return charges


def _in_advance(
    world: World, following: Period, actives: Sequence[Active], billed: Sequence[Charge]
) -> list[Charge]:
    """The next period's fees as far as known; a surplus waits for that period's own close.

    Nobody is billed before a trial ends: a fee that begins in that period waits for its close too.
    """
    begun = [active for active in actives if not _is_on_trial(active, following.start)]
    segments = fee_segments(world, following, begun)
    charges = []
    for name, parts, lines in _by_name(world, following, segments, billed):
        gross = sum(line.amount for line in lines)
        if sum(parts) > gross:
            charges += _fees("FEE_IN_ADVANCE", name, parts, gross, following)
    return charges


def _fees(
    kind: ChargeKind, name: str, parts: Sequence[int], billed: int, period: Period
) -> list[Charge]:
    """A line for each segment; one line for what is missing, where some of it was billed."""
    amounts = [sum(parts) - billed] if billed else parts
    return [Charge(kind, name, amount, period.index, is_fee=True) for amount in amounts]


def _by_name(
    world: World, period: Period, segments: Sequence[FeeSegment], billed: Sequence[Charge]
) -> list[tuple[str, list[int], list[Charge]]]:
    """Per fee of a plan: its name, what its segments deserve, and the lines billed for it."""
    advance = [s for s in segments if s.version.timing == "ADVANCE"]
    earlier = [line for line in billed if line.period == period.index]
    names = dict.fromkeys([*(s.name for s in advance), *(line.name for line in earlier)])
    return [
        (
            name,
            [s.amount(period, currency_of(world)) for s in advance if s.name == name],
            [line for line in earlier if line.name == name],
        )
        for name in names
    ]


def first_fee_charges(world: World, period: Period, active: Active) -> list[Charge]:
    """The off-cycle lines of a start: this subscription's own fees for the rest of its period."""
    return [
        Charge("FEE", s.name, s.amount(period, currency_of(world)), period.index, is_fee=True)
        for s in fee_segments(world, period, [active])
        if s.version.timing == "ADVANCE" and s.amount(period, currency_of(world))
    ]
