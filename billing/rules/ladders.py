"""Which price meets which usage: offers become ladders, ladders become lines.

Prices with the same meter and filters form one ladder per period, across versions and plans, so an
allowance and the tiers are counted once however often the price or the plan changes.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from fractions import Fraction

from billing.rules.aggregation import (
    Aggregation,
    Counted,
    MeterTerms,
    SeriesUsage,
    running_quantities,
    segment_value,
    value_of,
)
from billing.rules.lines import DraftLine, LineKind, price_of, rated_line
from billing.rules.periods import Period
from billing.rules.prices import Filters, Terms, most_specific
from billing.rules.rating import Segment, rate_ladder


@dataclass(frozen=True, slots=True)
class Offer:
    """One version of a price, for the part of a period it holds in for one organization.

    `meter` is None for a fee. `version` is its public name, `name` what people call the price.
    """

    version: str
    name: str
    terms: Terms
    span: Period
    meter: MeterTerms | None = None
    filters: Filters = field(default_factory=lambda: Filters({}))


@dataclass(frozen=True, slots=True)
class Source:
    """What one series counted for a line: what the line is shared out by."""

    dimensions: Mapping[str, str]
    counted: tuple[Counted, ...]


@dataclass(frozen=True, slots=True)
class UsageCharge:
    """A usage line and the series behind it."""

    meter: MeterTerms
    line: DraftLine
    sources: tuple[Source, ...]


@dataclass(frozen=True, slots=True)
class Unpriced:
    """Usage that no price matches: shown, so that nobody mistakes it for free."""

    meter: str
    quantity: Fraction
    unit: str


@dataclass(slots=True)
class Ladder:
    """The offers of one meter and filter in time order, and the usage they are for."""

    meter: MeterTerms
    offers: list[Offer] = field(default_factory=list)
    usage: list[SeriesUsage] = field(default_factory=list)

    def stretches(self, cuts: Sequence[datetime]) -> list[list[int]]:
        """For each offer, the numbers of the stretches between `cuts` that it spans."""
        return [stretches_in(offer.span, cuts) for offer in self.offers]


def cuts_of(offers: Iterable[Offer], period: Period) -> list[datetime]:
    """Every instant at which some price starts or stops to hold, with the period's own ends."""
    spans = [period, *(offer.span for offer in offers)]
    return sorted({span.start for span in spans} | {span.end for span in spans})


def stretches_in(span: Period, cuts: Sequence[datetime]) -> list[int]:
    """The stretch numbered i is `[cuts[i], cuts[i + 1])`."""
    return [i for i, start in enumerate(cuts[:-1]) if span.start <= start < span.end]


def ladders_of(
    offers: Sequence[Offer], usage: Mapping[str, Sequence[SeriesUsage]], cuts: Sequence[datetime]
) -> tuple[list[Ladder], list[Unpriced]]:
    """Give each series' usage to the most specific price in force; what none takes is unpriced."""
    ladders: dict[tuple[object, ...], Ladder] = {}
    for offer in merged(offers):
        if offer.meter is not None:
            key = (offer.meter.slug, offer.filters.key)
            ladders.setdefault(key, Ladder(offer.meter)).offers.append(offer)
    unpriced = [
        unmatched
        for meter, series in usage.items()
        for unmatched in _assign(meter, series, ladders, offers, cuts)
    ]
    order = {offer.version: position for position, offer in enumerate(offers)}
    return sorted(ladders.values(), key=lambda x: order[x.offers[0].version]), unpriced


def merged(offers: Iterable[Offer]) -> list[Offer]:
    """In time order, with what follows itself on equal terms as one offer.

    So a period split by switching between identical plans has the lines of one that is not split.
    A fee follows itself by its price's slug, usage by its meter and filters.
    """
    whole: list[Offer] = []
    last: dict[object, int] = {}
    for offer in sorted(offers, key=lambda offer: offer.span.start):
        key = (offer.meter.slug, offer.filters.key) if offer.meter else _slug(offer)
        place = last.get(key)
        if place is not None and _continues(whole[place], offer):
            whole[place] = replace(
                whole[place], span=Period(whole[place].span.start, offer.span.end)
            )
        else:
            last[key] = len(whole)
            whole.append(offer)
    return whole


def _slug(offer: Offer) -> str:
    """`fee/USD` of `pro/fee/USD@2`: what prices of different plans may share."""
    return price_of(offer.version).partition("/")[2]


def _continues(one: Offer, following: Offer) -> bool:
    return one.terms == following.terms and one.span.end == following.span.start


def _assign(
    meter: str,
    series: Sequence[SeriesUsage],
    ladders: Mapping[tuple[object, ...], Ladder],
    offers: Sequence[Offer],
    cuts: Sequence[datetime],
) -> list[Unpriced]:
    for_meter = [offer for offer in offers if offer.meter and offer.meter.slug == meter]
    in_force = [[x.filters for x in for_meter if start in x.span] for start in cuts[:-1]]
    unmatched: list[SeriesUsage] = []
    for one in series:
        for filters, share in _by_filters(one, in_force):
            rest = unmatched if filters is None else ladders[meter, filters.key].usage
            rest.append(share)
    if not unmatched:
        return []
    terms = unmatched[0].meter
    quantity = segment_value(terms.aggregation, unmatched, range(len(cuts) - 1))
    return [Unpriced(meter, quantity, terms.unit)]


def _by_filters(
    series: SeriesUsage, in_force: Sequence[Sequence[Filters]]
) -> Iterable[tuple[Filters | None, SeriesUsage]]:
    """Split one series' stretches by the filters that win in each.

    A LATEST value is wholly the last one's that has a price at all: earlier ones were replaced.
    """
    stretches: Iterable[int] = sorted(series.by_stretch)
    if series.meter.aggregation is Aggregation.LATEST:
        priced = [n for n in stretches if most_specific(in_force[n], series.dimensions)]
        stretches = (priced or list(stretches))[-1:]
    taken: dict[object, tuple[Filters | None, dict[int, Counted]]] = {}
    for number in stretches:
        counted = series.by_stretch[number]
        filters = most_specific(in_force[number], series.dimensions)
        key = None if filters is None else filters.key
        taken.setdefault(key, (filters, {}))[1][number] = counted
    for filters, taken_stretches in taken.values():
        yield filters, SeriesUsage(series.meter, series.dimensions, taken_stretches)


def charge_ladder(ladder: Ladder, period: Period, cuts: Sequence[datetime]) -> list[UsageCharge]:
    """Rate one ladder: a line for each segment with usage in it."""
    stretches = ladder.stretches(cuts)
    meter = ladder.meter
    reached = running_quantities(meter.aggregation, ladder.usage, stretches)
    segments = [Segment(offer.version, offer.terms, offer.span) for offer in ladder.offers]
    charges = []
    for i, rated in enumerate(rate_ladder(segments, reached, period)):
        if not rated.quantity and not rated.exact_minor:
            continue
        line = rated_line(
            LineKind.USAGE,
            rated,
            description=ladder.offers[i].name,
            segment=i,
            meter=meter,
        )
        charges.append(UsageCharge(meter, line, tuple(_sources(ladder, stretches[i]))))
    return charges


def growth(
    ladder: Ladder, period: Period, cuts: Sequence[datetime]
) -> list[tuple[datetime, Fraction]]:
    """What each stretch between `cuts` added, in exact minor units, by its start.

    Rating each stretch as a segment of its own changes no sum: their allowances add up to the
    offer's, and the ladder's cost telescopes.
    """
    parts = [
        (number, Segment(offer.version, offer.terms, Period(cuts[number], cuts[number + 1])))
        for offer, numbers in zip(ladder.offers, ladder.stretches(cuts), strict=True)
        for number in numbers
    ]
    stretches = [[number] for number, _ in parts]
    reached = running_quantities(ladder.meter.aggregation, ladder.usage, stretches)
    rated = rate_ladder([segment for _, segment in parts], reached, period)
    return [(one.segment.span.start, one.exact_minor) for one in rated]


def _sources(ladder: Ladder, numbers: Sequence[int]) -> Iterable[Source]:
    for series in ladder.usage:
        counted = tuple(series.by_stretch[n] for n in numbers if n in series.by_stretch)
        if value_of(ladder.meter.aggregation, counted):
            yield Source(series.dimensions, counted)


def sources_by(charge: UsageCharge, dimension: str) -> dict[str | None, Fraction]:
    """The children of a line by one dimension, each with its own value by the aggregation."""
    children: dict[str | None, list[Counted]] = {}
    for source in charge.sources:
        children.setdefault(source.dimensions.get(dimension), []).extend(source.counted)
    aggregation = charge.meter.aggregation
    return {value: value_of(aggregation, counted) for value, counted in children.items()}
