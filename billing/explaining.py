"""From a line back to what it was made of: its hours, and the events behind those."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from billing.charges import Agreement, Basis, agreement_for
from billing.errors import NotFound
from billing.models import Meter, Organization
from billing.rules.ladders import Offer
from billing.rules.lines import DraftLine, LineKind, price_of
from billing.rules.periods import Period
from billing.rules.prices import Filters, most_specific

Matches = Callable[[Mapping[str, str]], bool]
"""Whether a series with these dimensions is behind the line."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a line of usage was counted from: a meter, over a time, and which series of it."""

    meter: Meter
    span: Period
    matches: Matches


async def evidence_of(
    session: AsyncSession, org: Organization, line: DraftLine, basis: Basis
) -> Evidence:
    """Where to look for the hours and events of a usage line, or of a correction to one.

    A correction is explained by the whole corrected period. Raises `NotFound` for what no event
    is behind: fees, items, reductions.
    """
    if line.kind not in {LineKind.USAGE, LineKind.TRUE_UP}:
        raise NotFound("No usage is behind this line.", code="NO_USAGE", field="line")
    agreement = await agreement_for(session, org, line.span, basis)
    price = line.key.partition("~")[0] if line.kind is LineKind.TRUE_UP else line.price
    offers = [x for x in agreement.offers(line.span) if price_of(x.version) == price and x.meter]
    if not offers:
        raise NotFound("No usage is behind this line.", code="NO_USAGE", field="line")
    return Evidence(_meter(agreement, offers[0]), line.span, _matching(agreement, offers[0], line))


def _meter(agreement: Agreement, offer: Offer) -> Meter:
    assert offer.meter is not None, "an offer of usage"
    slug = offer.meter.slug
    return next(meter for meter in agreement.meters.values() if meter.slug == slug)


def _matching(agreement: Agreement, offer: Offer, line: DraftLine) -> Matches:
    """Those series that no closer price takes."""
    candidates: list[Filters] = [
        other.filters
        for other in agreement.offers(line.span)
        if other.meter and offer.meter and other.meter.slug == offer.meter.slug
    ]
    return lambda dimensions: most_specific(candidates, dimensions) == offer.filters
