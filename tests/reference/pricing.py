"""What a ladder costs, segment by segment (§4)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from fractions import Fraction
from itertools import pairwise
from math import ceil

from tests.reference.charges import Charge
from tests.reference.in_force import FilterKey, InForce, Stretch, filter_key, stretches_of, terms_of
from tests.reference.money import Currency, currency_of, minor, rounded
from tests.reference.periods import Period, share_of
from tests.reference.usage import ladder_quantities
from tests.reference.world import Meter, PriceVersion, World


@dataclass(frozen=True)
class Segment:
    """Adjacent stretches of one ladder on equal terms; `place` is that of its first price."""

    place: int
    name: str
    terms: PriceVersion
    start: datetime
    end: datetime
    quantity: Fraction


def usage_charges(world: World, period: Period, now: datetime) -> list[Charge]:
    """Every usage line of the period: ladders by what they begin with, each in order of time."""
    stretches = stretches_of(world, period, now)
    ladders = []
    for meter in world.meters:
        prices = [p.price for s in stretches for p in s.prices if p.price.meter == meter.slug]
        for ladder in {filter_key(price) for price in prices}:
            segments = _segments(world, meter, ladder, period, now, stretches)
            ladders.append((segments[0].place, meter.slug, segments))
    return [
        Charge("USAGE", segment.name, amount, period.index, segment.quantity, slug)
        for _, slug, segments in sorted(ladders, key=lambda one: one[0])
        for segment, amount in zip(
            segments, ladder_amounts(segments, period, currency_of(world)), strict=True
        )
        if amount
    ]


def places_of(stretches: Sequence[Stretch]) -> dict[tuple[str, datetime], int]:
    """Where each price and version stands: by subscription, then as the plan lists them.

    Of a plan that an organization has come back to, the last subscription counts.
    """
    known = {
        (one.subscribed, one.position, one.version.effective_from): one
        for stretch in stretches
        for one in stretch.prices
    }
    return {
        (known[key].name, known[key].version.effective_from): place
        for place, key in enumerate(sorted(known))
    }


def _segments(
    world: World,
    meter: Meter,
    ladder: FilterKey,
    period: Period,
    now: datetime,
    stretches: Sequence[Stretch],
) -> list[Segment]:
    quantities = ladder_quantities(world, meter, ladder, now, stretches, period)
    places = places_of(stretches)
    segments: list[Segment] = []
    for stretch, quantity in zip(stretches, quantities, strict=True):
        price = _ladder_price(meter, ladder, stretch)
        if price is None:
            continue
        terms = terms_of(price.version)
        last = segments[-1] if segments else None
        if last and last.end == stretch.start and last.terms == terms:
            total = last.quantity + quantity
            segments[-1] = replace(last, end=stretch.end, quantity=total)
        else:
            place = places[price.name, price.version.effective_from]
            found = Segment(place, price.name, terms, stretch.start, stretch.end, quantity)
            segments.append(found)
    return segments


def _ladder_price(meter: Meter, ladder: FilterKey, stretch: Stretch) -> InForce | None:
    found = [
        one
        for one in stretch.prices
        if one.price.meter == meter.slug and filter_key(one.price) == ladder
    ]
    assert len(found) <= 1, "two subscriptions price one meter: refused when written"
    return found[0] if found else None


def ladder_amounts(segments: Sequence[Segment], period: Period, currency: Currency) -> list[int]:
    """Allowance, tiers, maximum and minimum over the whole ladder; each line rounded once."""
    shares = [share_of(period, s.start, s.end) for s in segments]
    terms = [s.terms for s in segments]
    pairs = list(zip(shares, terms, strict=True))
    allowance = sum((share * Fraction(t.allowance) for share, t in pairs), Fraction(0))
    least = sum((share * minor(t.minimum, currency) for share, t in pairs), Fraction(0))
    maxima = [t.maximum for t in terms if t.maximum is not None]
    most = None
    if len(maxima) == len(terms):
        most = sum(
            (share * minor(top, currency) for share, top in zip(shares, maxima, strict=True)),
            Fraction(0),
        )
    total = max(Fraction(0), sum((s.quantity for s in segments), Fraction(0)) - allowance)
    billed = [Fraction(0)]
    used = cost = Fraction(0)
    for segment in segments:
        start = max(Fraction(0), used - allowance)
        used += segment.quantity
        end = max(Fraction(0), used - allowance)
        major = cost_of(end, segment.terms, total) - cost_of(start, segment.terms, total)
        cost += major * 10**currency.exponent
        billed.append(cost if most is None else min(cost, most))
    parts = [after - before for before, after in pairwise(billed)]
    if parts:
        parts[-1] += max(Fraction(0), least - billed[-1])
    return [rounded(part, currency) for part in parts]


def cost_of(units: Fraction, terms: PriceVersion, total: Fraction) -> Fraction:
    """R(n) in major units; `total` only chooses the tier of VOLUME."""
    match terms.model:
        case "PER_UNIT":
            return units * Fraction(terms.unit_amount)
        case "PACKAGE":
            return ceil(units / terms.package_size) * Fraction(terms.unit_amount)
        case "GRADUATED":
            return _graduated(units, terms)
        case "VOLUME":
            return _volume(units, terms, total)
        case "FLAT":
            raise AssertionError("a fee has no meter")


def _graduated(units: Fraction, terms: PriceVersion) -> Fraction:
    cost = floor = Fraction(0)
    for tier in terms.tiers:
        if units <= floor:
            break
        top = units if tier.up_to is None else min(units, Fraction(tier.up_to))
        cost += (top - floor) * Fraction(tier.unit_amount) + Fraction(tier.flat_amount)
        floor = top if tier.up_to is None else Fraction(tier.up_to)
    return cost


def _volume(units: Fraction, terms: PriceVersion, total: Fraction) -> Fraction:
    floor = Fraction(0)
    for tier in terms.tiers:
        if tier.up_to is None or total <= Fraction(tier.up_to):
            flat = Fraction(tier.flat_amount) if units > floor else Fraction(0)
            return units * Fraction(tier.unit_amount) + flat
        floor = Fraction(tier.up_to)
    raise AssertionError("the last tier is open")
