"""Reading the plans of a price book, and their prices."""

from collections.abc import Sequence

from billing.names import checked_name, checked_slug
from billing.price_book.book import PlanEntry, PriceEntry, VersionEntry
from billing.price_book.entry import Entry
from billing.price_book.values import OneOf
from billing.price_book.versions import read_version
from billing.rules.money import Currency
from billing.rules.prices import Model

_PLAN_FIELDS = ("slug", "name", "prices")
_PRICE_FIELDS = ("slug", "name", "currency", "meter", "filters", "versions")
_currency = OneOf(Currency, "UNKNOWN_CURRENCY")


def read_plan(entry: Entry) -> PlanEntry:
    """A plan; what is wrong with it is noted."""
    entry.allow(_PLAN_FIELDS, "A plan")
    prices = [(price, read_price(price)) for price in entry.entries("prices")]
    seen: set[tuple[str, Currency]] = set()
    for place, price in prices:
        if price.key in seen and price.slug:
            place.refuse(
                "DUPLICATE_SLUG",
                f"The plan has two prices {price.slug!r} in {price.currency}: rename one.",
                "slug",
            )
        seen.add(price.key)
    return PlanEntry(
        at=entry.at,
        slug=entry.read("slug", checked_slug, ""),
        name=entry.read("name", checked_name, ""),
        prices=tuple(price for _, price in prices),
    )


def read_price(entry: Entry) -> PriceEntry:
    """A price and its versions, in the order they take effect."""
    before = entry.problem_count
    entry.allow(_PRICE_FIELDS, "A price")
    currency = entry.read("currency", _currency, Currency.USD)
    versions = [read_version(version, currency) for version in entry.entries("versions")]
    if not versions:
        entry.refuse("MISSING_FIELD", "A price needs at least one version.", "versions")
    price = PriceEntry(
        at=entry.at,
        slug=entry.read("slug", checked_slug, ""),
        name=entry.read("name", checked_name, ""),
        currency=currency,
        meter=entry.find("meter", checked_slug),
        filters=_filters(entry),
        versions=tuple(sorted(versions, key=lambda version: version.effective_from)),
    )
    if entry.problem_count == before:
        _check_models(entry, price)
        _check_instants(entry, price.versions)
    return price


def _filters(entry: Entry) -> dict[str, tuple[str, ...]]:
    mapping = entry.entry("filters")
    if mapping is None:
        return {}
    filters = {name: tuple(mapping.texts(name, checked_name)) for name in mapping}
    for name, values in filters.items():
        if not values:
            mapping.refuse("EMPTY_FILTER", "List the values it is for, or remove it.", name)
    return filters


def _check_models(entry: Entry, price: PriceEntry) -> None:
    fees = [version.terms["model"] == Model.FLAT for version in price.versions]
    if price.meter is None and not all(fees):
        entry.refuse("MISSING_METER", "A price for usage names its meter; only FLAT has none.")
    if price.meter is not None and any(fees):
        entry.refuse("FEE_WITH_METER", "A FLAT fee is for no usage: remove its meter.", "meter")
    if price.meter is None and price.filters:
        entry.refuse("FEE_WITH_FILTERS", "Filters choose usage: remove them.", "filters")


def _check_instants(entry: Entry, versions: Sequence[VersionEntry]) -> None:
    instants = [version.effective_from for version in versions]
    for instant in sorted({x for x in instants if instants.count(x) > 1}):
        entry.refuse(
            "DUPLICATE_VERSION",
            f"Two versions take effect at {instant:%Y-%m-%d %H:%M} UTC; instants are rounded up"
            " to the hour. Keep one.",
            "versions",
        )
