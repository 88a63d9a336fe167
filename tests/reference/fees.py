"""Recurring fees (§4): what a period deserves, and what of it is billed when."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from itertools import pairwise

from tests.reference.charges import Charge, FeeKey
from tests.reference.in_force import Active, active_subscriptions, plan_of, version_at
from tests.reference.money import Currency, currency_of, minor, rounded
from tests.reference.periods import Period, hour_up, share_of
from tests.reference.world import Price, PriceVersion, World


@dataclass(frozen=True)
class FeeSegment:
    """A stretch of one fee on one set of terms."""

    key: FeeKey
    name: str
    version: PriceVersion
    start: datetime
    end: datetime

    def amount(self, period: Period, currency: Currency) -> int:
        """Fee times the share of the period's hours, rounded once."""
        share = share_of(period, self.start, self.end)
        return rounded(share * minor(self.version.amount, currency), currency)


def fee_segments(world: World, period: Period, actives: Sequence[Active]) -> list[FeeSegment]:
    """The fees of these subscriptions in the period; touching ones on equal terms are one."""
    parts = []
    for active in actives:
        plan = plan_of(world, active.subscription.plan)
        for price in plan.prices:
            if price.meter is None:
                parts += _parts(f"{plan.slug}/{price.slug}", price, period, active)
    merged: list[FeeSegment] = []
    for part in sorted(parts, key=lambda part: (part.key, part.start, part.name)):
        last = merged[-1] if merged else None
        if last and last.key == part.key and last.end == part.start:
            merged[-1] = FeeSegment(last.key, last.name, last.version, last.start, part.end)
        else:
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
            key = (price.slug, f"{version.amount.normalize()} {version.timing}")
            found.append(FeeSegment(key, name, version, begin, stop))
    return found


def fee_charges(
    world: World, period: Period, following: Period, now: datetime, billed: Sequence[Charge]
) -> list[Charge]:
    """Fee lines of the invoice that closes `period`, given the advance lines billed earlier."""
    actives = active_subscriptions(world, now)
    this = fee_segments(world, period, actives)
    coming = fee_segments(world, following, actives)
    arrears = [
        Charge("FEE", s.name, s.amount(period, currency_of(world)), period.index, fee=s.key)
        for s in this
        if s.version.timing == "ARREARS"
    ]
    return [
        charge
        for charge in [
            *arrears,
            *_settled(world, period, this, billed),
            *_in_advance(world, following, coming, billed),
        ]
        if charge.amount
    ]


def _settled(
    world: World, period: Period, segments: Sequence[FeeSegment], billed: Sequence[Charge]
) -> list[Charge]:
    """What the period deserves in advance fees, minus what was already billed for it."""
    currency = currency_of(world)
    charges = []
    for key, name, deserved, lines in _by_key(world, period, segments, billed):
        gross = sum(line.amount for line in lines)
        if deserved >= gross:
            charges.append(Charge("FEE", name, deserved - gross, period.index, fee=key))
        else:
            kept = Fraction(sum(line.left for line in lines), gross)
            credit = rounded((deserved - gross) * kept, currency)
            charges.append(Charge("UNUSED_FEE", name, credit, period.index, fee=key))
    return charges


def _in_advance(
    world: World, following: Period, segments: Sequence[FeeSegment], billed: Sequence[Charge]
) -> list[Charge]:
    """The next period's fees as far as known; a surplus waits for that period's own close."""
    return [
        Charge(
            "FEE_IN_ADVANCE",
            name,
            deserved - sum(line.amount for line in lines),
            following.index,
            fee=key,
        )
        for key, name, deserved, lines in _by_key(world, following, segments, billed)
        if deserved > sum(line.amount for line in lines)
    ]


def _by_key(
    world: World, period: Period, segments: Sequence[FeeSegment], billed: Sequence[Charge]
) -> list[tuple[FeeKey, str, int, list[Charge]]]:
    """Per fee on equal terms: its name, what it deserves, and the lines billed for it."""
    advance = [s for s in segments if s.version.timing == "ADVANCE"]
    earlier = [line for line in billed if line.period == period.index and line.fee]
    names = {line.fee: line.name for line in reversed(earlier) if line.fee}
    names |= {segment.key: segment.name for segment in reversed(advance)}
    return [
        (
            key,
            name,
            sum(s.amount(period, currency_of(world)) for s in advance if s.key == key),
            [line for line in earlier if line.fee == key],
        )
        for key, name in sorted(names.items())
    ]


def first_fee_charges(world: World, period: Period, active: Active) -> list[Charge]:
    """The off-cycle lines of a start: this subscription's own fees for the rest of its period."""
    return [
        Charge("FEE", s.name, s.amount(period, currency_of(world)), period.index, fee=s.key)
        for s in fee_segments(world, period, [active])
        if s.version.timing == "ADVANCE" and s.amount(period, currency_of(world))
    ]
