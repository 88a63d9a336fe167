"""What a catalogue says, in a line each: for the diff that people read before they apply it."""

from datetime import datetime

from billing.catalog import terms_of
from billing.price_book.book import MeterEntry, PriceEntry, VersionEntry
from billing.rules.money import Currency
from billing.rules.prices import Model, Terms, Tier
from billing.rules.quantities import plain


def instant_words(instant: datetime) -> str:
    """`2026-01-01 00:00 UTC`."""
    return f"{instant:%Y-%m-%d %H:%M} UTC"


def meter_words(meter: MeterEntry) -> str:
    """`SUM of hours in machine.usage events, in hours, by app, region`."""
    what = f"{meter.aggregation} of {meter.value_property or 'events'}"
    dimensions = f", by {', '.join(meter.dimensions)}" if meter.dimensions else ""
    return f"{what} in {meter.event_type}, in {meter.unit}{dimensions}"


def price_words(price: PriceEntry) -> str:
    """`egress where region is ams or fra`, or `fee`."""
    if price.meter is None:
        return "fee"
    clauses = (f"{name} is {' or '.join(values)}" for name, values in price.filters.items())
    where = " and ".join(clauses)
    return f"{price.meter} where {where}" if where else price.meter


def version_words(version: VersionEntry, currency: Currency) -> str:
    """When it takes effect, with the instant used, and what it asks for."""
    start = f"from {instant_words(version.effective_from)}"
    if version.asked_for != version.effective_from:
        start += f" (rounded up from {version.asked_for:%H:%M:%S})"
    return f"{start}: {terms_words(terms_of(version.terms, currency))}"


def terms_words(terms: Terms) -> str:
    """`100 included, then 0.02 up to 250, then 0.015 USD a unit, at least 5.00 a period`."""
    if terms.model is Model.FLAT:
        return f"{terms.fee().major} {terms.currency} a period, in {terms.timing.lower()}"
    included = f"{plain(terms.allowance)} included, then " if terms.allowance else ""
    tiers = ", then ".join(_tier_words(tier) for tier in terms.tiers)
    return f"{included}{tiers} {terms.currency} {_unit_words(terms)}{_bounds_words(terms)}"


def _unit_words(terms: Terms) -> str:
    if terms.package_size is not None:
        return f"for each {plain(terms.package_size)} units begun"
    return "a unit by the whole quantity" if terms.model is Model.VOLUME else "a unit"


def _bounds_words(terms: Terms) -> str:
    bounds = [("at least", terms.minimum or None), ("at most", terms.maximum)]
    words = [f"{word} {plain(bound)}" for word, bound in bounds if bound is not None]
    return f", {' and '.join(words)} a period" if words else ""


def _tier_words(tier: Tier) -> str:
    entry = f" and {plain(tier.flat_amount)} once" if tier.flat_amount else ""
    bound = f" up to {plain(tier.up_to)}" if tier.up_to is not None else ""
    return f"{plain(tier.unit_amount)}{entry}{bound}"
