"""The catalogue as it would stand: the book's prices, and those the database keeps besides."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from billing.catalog import filters_of
from billing.price_book.book import PlanEntry, PriceBook, PriceEntry
from billing.price_book.problems import Place
from billing.price_book.stored import Stored
from billing.rules.money import Currency
from billing.rules.prices import Filters


@dataclass(frozen=True, slots=True)
class StandingPrice:
    """One price; `at` is where the book has it, None when only the database does."""

    plan: str
    slug: str
    currency: Currency
    meter: str | None
    filters: Filters
    at: Place | None

    def __str__(self) -> str:
        return price_name(self.plan, self.slug, self.currency)


def price_name(plan: str, slug: str, currency: Currency) -> str:
    """How a price is named to people: `pro/egress/USD`."""
    return f"{plan}/{slug}/{currency}"


def standing_prices(book: PriceBook, stored: Stored) -> dict[str, list[StandingPrice]]:
    """Every price of every plan, the book's first, by the plan's slug."""
    entries = {plan.slug: plan for plan in book.plans}
    slugs = [*entries, *(slug for slug in stored.plans if slug not in entries)]
    return {slug: [*_of_book(entries.get(slug)), *_kept(slug, entries, stored)] for slug in slugs}


def _of_book(plan: PlanEntry | None) -> Sequence[StandingPrice]:
    return [_standing(plan, price) for price in plan.prices] if plan else []


def _standing(plan: PlanEntry, price: PriceEntry) -> StandingPrice:
    filters = Filters({name: frozenset(values) for name, values in price.filters.items()})
    return StandingPrice(plan.slug, price.slug, price.currency, price.meter, filters, price.at)


def _kept(slug: str, entries: Mapping[str, PlanEntry], stored: Stored) -> Sequence[StandingPrice]:
    if slug not in stored.plans:
        return []
    named = {price.key for price in entries[slug].prices} if slug in entries else set()
    return [
        StandingPrice(
            slug,
            price.slug,
            price.currency,
            stored.meter_slug(price),
            filters_of(price.filters),
            None,
        )
        for price in stored.plans[slug].prices
        if (price.slug, price.currency) not in named
    ]
