"""What a subscription offers in a period: which terms of which price hold, and when."""

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from typing import NamedTuple

from billing.catalog import filters_of, terms_of
from billing.ids import MeterId
from billing.models import (
    Meter,
    Organization,
    Plan,
    Price,
    PriceOverride,
    PriceVersion,
    Subscription,
)
from billing.models.base import Json
from billing.rules.ladders import Offer
from billing.rules.periods import Period


def offers_of(
    org: Organization,
    subscription: Subscription,
    plan: Plan,
    period: Period,
    meters: dict[MeterId, Meter],
    overrides: Sequence[PriceOverride] = (),
) -> list[Offer]:
    """What a subscription offers in a period: each version of each price, where it is in force.

    The organization's own terms stand in for the plan's; a trial waives fees. An organization that
    is closed is on nothing, for closing it ended its subscriptions.
    """
    active = period.overlap(subscription.starts_at, subscription.ends_at)
    if active is None:
        return []
    billed: Period | None = active
    if subscription.trial_ends_at is not None:
        billed = active.overlap(subscription.trial_ends_at, None)
    return [
        offer
        for price in plan.prices
        if price.currency == org.currency
        and (span := active if price.meter_id else billed) is not None
        for offer in _offers_of_price(
            _Offered(org, plan, price),
            span,
            meters,
            [x for x in overrides if x.price_id == price.id],
        )
    ]


class _Offered(NamedTuple):
    org: Organization
    plan: Plan
    price: Price

    def in_force(self, at: datetime, overrides: Sequence[PriceOverride]) -> tuple[str, Json] | None:
        """The public name and the terms that hold at an instant."""
        own = [x for x in overrides if x.effective_from <= at]
        if own and own[-1].terms is not None:
            return override_name(self.org, self.plan, self.price, own[-1]), own[-1].terms
        versions = [x for x in self.price.versions if x.effective_from <= at]
        if not versions:
            return None
        return version_name(self.plan, self.price, versions[-1]), versions[-1].terms


def _offers_of_price(
    offered: _Offered,
    active: Period,
    meters: dict[MeterId, Meter],
    overrides: Sequence[PriceOverride],
) -> list[Offer]:
    price = offered.price
    meter = meters[price.meter_id].terms if price.meter_id else None
    filters = filters_of(price.filters)
    changes = [x.effective_from for x in price.versions] + [x.effective_from for x in overrides]
    cuts = sorted({active.start, active.end, *(x for x in changes if x in active)})
    offers: list[Offer] = []
    for start, end in pairwise(cuts):
        found = offered.in_force(start, overrides)
        if found is None:
            continue
        name, terms = found
        goes_on = offers and (offers[-1].version, offers[-1].span.end) == (name, start)
        span = Period(offers.pop().span.start if goes_on else start, end)
        offers.append(
            Offer(name, price.name, terms_of(terms, price.currency), span, meter, filters)
        )
    return offers


def override_name(org: Organization, plan: Plan, price: Price, override: PriceOverride) -> str:
    """An organization's own version, such as `pro/egress/USD@acme-1`."""
    return f"{plan.slug}/{price.slug}/{price.currency}@{org.key}-{override.number}"


def version_name(plan: Plan, price: Price, version: PriceVersion) -> str:
    """A version's public name, such as `pro/egress/USD@2`: it is on invoices and in digests."""
    return f"{plan.slug}/{price.slug}/{price.currency}@{version.number}"
