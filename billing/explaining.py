"""From a line back to what it was made of: its hours, and the events behind those."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby, pairwise

from sqlalchemy.ext.asyncio import AsyncSession

from billing.charges import Agreement, Basis, agreement_for
from billing.models import Meter, Organization
from billing.rules.ladders import Offer, cuts_of, merged
from billing.rules.lines import DraftLine, LineKind, price_of
from billing.rules.periods import Period
from billing.rules.prices import Filters, most_specific
from billing.usage import (
    EventBehind,
    EventPage,
    EventPosition,
    HourBehind,
    HourPage,
    Matches,
    events_behind,
    hours_behind,
)

EXPLAINED_KINDS = frozenset({LineKind.USAGE, LineKind.TRUE_UP})
"""Lines that events may be behind; of a correction only if it is one of usage."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of a line's time, and which series it was counted from there."""

    span: Period
    matches: Matches


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a line was counted from: a meter's series, stretch by stretch, as far as was known."""

    org: Organization
    meter: Meter
    stretches: tuple[Stretch, ...]
    basis: Basis


async def find_evidence(
    session: AsyncSession, org: Organization, line: DraftLine, basis: Basis
) -> Evidence | None:
    """Where to look for the hours and events of a usage line, or of a correction to one.

    A correction is explained by the whole corrected period. None for what no event is behind:
    fees, items, reductions, and corrections of those.
    """
    if line.kind not in EXPLAINED_KINDS:
        return None
    agreement = await agreement_for(session, org, line.span, basis)
    offers = [offer for offer in agreement.offers(line.span) if offer.meter]
    price = line.key.rpartition("~")[0] if line.kind is LineKind.TRUE_UP else line.price
    own = [offer for offer in merged(offers) if price_of(offer.version) == price]
    if not own:
        return None
    meter = _meter(agreement, own[0])
    rivals = [offer for offer in offers if offer.meter and offer.meter.slug == meter.slug]
    stretches = tuple(part for offer in own for part in _stretches(offer, rivals))
    return Evidence(org, meter, stretches, basis)


def _meter(agreement: Agreement, offer: Offer) -> Meter:
    assert offer.meter is not None, "an offer of usage"
    slug = offer.meter.slug
    return next(meter for meter in agreement.meters.values() if meter.slug == slug)


def _stretches(offer: Offer, rivals: Sequence[Offer]) -> list[Stretch]:
    """Those series that no closer price takes: from when on, if one starts or ends meanwhile."""
    cuts = [cut for cut in cuts_of(rivals, offer.span) if offer.span.start <= cut <= offer.span.end]
    parts = [
        (Period(start, end), [x.filters for x in rivals if start in x.span])
        for start, end in pairwise(cuts)
    ]
    alike = groupby(parts, key=lambda part: sorted(filters.key for filters in part[1]))
    return [_stretch(offer.filters, list(some)) for _, some in alike]


def _stretch(own: Filters, parts: Sequence[tuple[Period, list[Filters]]]) -> Stretch:
    candidates = parts[0][1]

    def matches(dimensions: Mapping[str, str]) -> bool:
        closest = most_specific(candidates, dimensions)
        return closest is not None and closest.key == own.key

    return Stretch(Period(parts[0][0].start, parts[-1][0].end), matches)


async def hours_of(
    session: AsyncSession, evidence: Evidence, *, limit: int, after: datetime | None = None
) -> HourPage:
    """A line's hours, oldest first; `after` is the last one shown.

    Of an earlier instant they are counted from the events known then, else they are the buckets'.
    Raises `Conflict` when events that are needed are in an archived month.
    """
    basis, found = evidence.basis, list[HourBehind]()
    for stretch in evidence.stretches:
        if len(found) > limit:
            break
        page = await hours_behind(
            session,
            evidence.org.id,
            evidence.meter,
            stretch.span,
            upto=basis.now,
            matches=stretch.matches,
            known_at=basis.known_at,
            limit=limit + 1 - len(found),
            after=after,
        )
        found += page.hours
    return HourPage(found[:limit], len(found) > limit)


async def events_of(
    session: AsyncSession,
    evidence: Evidence,
    *,
    limit: int,
    after: EventPosition | None = None,
    within: Period | None = None,
) -> EventPage:
    """A line's events, oldest first, voided ones too; `within` narrows them, to an hour say.

    Raises `Conflict` when some of them are in an archived month.
    """
    found = list[EventBehind]()
    for stretch in evidence.stretches:
        span = stretch.span if within is None else stretch.span.overlap(within.start, within.end)
        if span is None or len(found) > limit:
            continue
        page = await events_behind(
            session,
            evidence.org.id,
            evidence.meter,
            span,
            matches=stretch.matches,
            known_at=evidence.basis.known_at,
            limit=limit + 1 - len(found),
            after=after,
        )
        found += page.events
    return EventPage(found[:limit], len(found) > limit)
