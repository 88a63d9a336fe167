"""Plans that never were: copies with other prices, which belong to no session."""

from collections.abc import Mapping
from datetime import UTC, datetime

from billing.ids import MeterId, new_id
from billing.models import Plan, Price, PriceVersion
from billing.models.base import Json
from billing.price_book.book import PlanEntry, PriceEntry
from billing.rules.money import Currency
from billing.rules.periods import YEARS

_ALWAYS = datetime(YEARS[0], 1, 1, tzinfo=UTC)


def as_in_book(plan: Plan, entry: PlanEntry, found: Mapping[str, MeterId]) -> Plan:
    """At the latest terms of a book, with the prices that are new there.

    Usage of a meter yet unknown is none, so its prices are left out.
    """
    terms = {price.key: price.versions[-1].terms for price in entry.prices}
    prices = [
        _held(price, 0, terms[_key(price)]) if _key(price) in terms else _like(price)
        for price in plan.prices
    ]
    known = {_key(price) for price in plan.prices}
    for price in entry.prices:
        if price.key not in known and (price.meter is None or price.meter in found):
            meter_id = found[price.meter] if price.meter else None
            prices.append(_held(_new(price, meter_id), 0, terms[price.key]))
    return Plan(id=plan.id, slug=plan.slug, name=plan.name, prices=prices)


def _key(price: Price) -> tuple[str, Currency]:
    """What makes it one price within its plan: as an entry's `key`."""
    return price.slug, price.currency


def _new(entry: PriceEntry, meter_id: MeterId | None) -> Price:
    return Price(
        id=new_id(),
        slug=entry.slug,
        name=entry.name,
        currency=entry.currency,
        meter_id=meter_id,
        filters={name: list(values) for name, values in entry.filters.items()},
    )


def as_if_always(plan: Plan, now: datetime) -> Plan:
    """At the prices of `now`, or else the first there will be, whatever the time."""
    prices = []
    for price in plan.prices:
        versions = [x for x in price.versions if x.effective_from <= now] or price.versions[:1]
        if versions:
            prices.append(_held(price, versions[-1].number, versions[-1].terms))
    return Plan(id=plan.id, slug=plan.slug, name=plan.name, prices=prices)


def _held(price: Price, number: int, terms: Json) -> Price:
    """A price at the same terms at any time."""
    version = PriceVersion(id=new_id(), number=number, effective_from=_ALWAYS, terms=terms)
    return _like(price, version)


def _like(price: Price, *instead: PriceVersion) -> Price:
    """A copy that belongs to no session, with other versions or with its own."""
    versions = instead or [
        PriceVersion(id=x.id, number=x.number, effective_from=x.effective_from, terms=x.terms)
        for x in price.versions
    ]
    return Price(
        id=price.id,
        slug=price.slug,
        name=price.name,
        currency=price.currency,
        meter_id=price.meter_id,
        filters=price.filters,
        versions=list(versions),
    )
