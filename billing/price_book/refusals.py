"""What a book may not do to the catalogue that is there: every refusal, none written."""

from collections.abc import Iterator
from itertools import combinations

from billing.catalog import terms_of
from billing.models import Price, PriceVersion
from billing.names import did_you_mean
from billing.price_book.book import MeterEntry, PlanEntry, PriceBook, PriceEntry, VersionEntry
from billing.price_book.problems import Place, Problem
from billing.price_book.standing import StandingPrice, price_name, standing_prices
from billing.price_book.stored import Stored
from billing.rules.prices import Timing


def refusals(book: PriceBook, stored: Stored) -> list[Problem]:
    """Everything that stands against applying `book`, by line."""
    found = [
        *(problem for meter in book.meters for problem in _fixed_meter(meter, stored)),
        *(
            problem
            for plan in book.plans
            for price in plan.prices
            for problem in _price_refusals(plan, price, stored)
        ),
        *_standing_refusals(book, stored),
    ]
    return sorted(found, key=lambda problem: problem.at.line)


def _fixed_meter(entry: MeterEntry, stored: Stored) -> Iterator[Problem]:
    row = stored.meters.get(entry.slug)
    if row is None or row.id not in stored.used_meters:
        return
    fixed = {
        "event_type": (row.event_type, entry.event_type),
        "value": (row.value_property, entry.value_property),
        "aggregation": (row.aggregation, entry.aggregation),
        "dimensions": (row.dimensions, entry.dimensions),
    }
    for field, (ours, theirs) in fixed.items():
        if ours != theirs:
            yield Problem(
                entry.at.inside(field),
                "METER_FIXED",
                f"{entry.slug} has usage, so its {field} stays as it is: put it back, or add a"
                " meter with another slug.",
            )


def _price_refusals(plan: PlanEntry, price: PriceEntry, stored: Stored) -> Iterator[Problem]:
    row = stored.price(plan.slug, price.key)
    if row is not None:
        yield from _fixed_price(plan, price, row, stored)
    versions = {x.effective_from: x for x in row.versions} if row else {}
    for version in price.versions:
        existing = versions.get(version.effective_from)
        if existing is None:
            yield from _too_early(plan, price, version, stored)
        elif terms_of(existing.terms, price.currency) != terms_of(version.terms, price.currency):
            yield _edited(version, existing)
    yield from _mixed_timing(price, row)


def _fixed_price(
    plan: PlanEntry, price: PriceEntry, row: Price, stored: Stored
) -> Iterator[Problem]:
    name = price_name(plan.slug, *price.key)
    if stored.meter_slug(row) != price.meter:
        message = f"{name} is for another meter already: add a price with another slug."
        yield Problem(price.at.inside("meter"), "PRICE_FIXED", message)
    ours = {dimension: set(values) for dimension, values in row.filters.items()}
    if ours != {dimension: set(values) for dimension, values in price.filters.items()}:
        message = f"{name} has other filters already: add a price with another slug."
        yield Problem(price.at.inside("filters"), "PRICE_FIXED", message)


def _edited(version: VersionEntry, existing: PriceVersion) -> Problem:
    return Problem(
        version.at,
        "VERSION_EDITED",
        f"Version {existing.number} takes effect at {version.effective_from:%Y-%m-%d %H:%M} UTC"
        " with other terms, and a version is never edited: put it back, and add one with a later"
        " effective_from.",
    )


def _too_early(
    plan: PlanEntry, price: PriceEntry, version: VersionEntry, stored: Stored
) -> Iterator[Problem]:
    """A version may not reach into what is invoiced, nor a fee into what is paid in advance.

    What is paid in advance is paid at the price it had: the new one would never be billed.
    """
    if plan.slug not in stored.plans:
        return
    whose = (stored.plans[plan.slug].id, price.currency)
    at, starts = version.at.inside("effective_from"), version.effective_from
    closed = stored.closed_until.get(whose)
    if closed is not None and starts < closed:
        message = (
            f"Periods up to {closed:%Y-%m-%d %H:%M} UTC are invoiced for somebody on"
            f" {plan.slug}: take effect then or later."
        )
        yield Problem(at, "CLOSED_PERIOD", message)
    paid = stored.paid_until.get(whose)
    is_advance = version.terms.get("timing") == Timing.ADVANCE
    if is_advance and paid is not None and starts < paid:
        message = (
            f"Somebody on {plan.slug} has paid this fee in advance up to {paid:%Y-%m-%d %H:%M}"
            " UTC: take effect then or later."
        )
        yield Problem(at, "PAID_PERIOD", message)


def _mixed_timing(price: PriceEntry, row: Price | None) -> Iterator[Problem]:
    """A fee moved from one side of its period to the other would be billed twice, or never."""
    stored = [version.terms for version in row.versions] if row else []
    written = [version.terms for version in price.versions]
    if len({terms.get("timing") for terms in [*stored, *written]}) > 1:
        message = "A fee stays in ADVANCE or in ARREARS: add a fee with another slug."
        yield Problem(price.at, "TIMING_FIXED", message)


def _standing_refusals(book: PriceBook, stored: Stored) -> Iterator[Problem]:
    standing = standing_prices(book, stored)
    dimensions = {slug: set(meter.dimensions) for slug, meter in stored.meters.items()}
    dimensions |= {meter.slug: set(meter.dimensions) for meter in book.meters}
    places = {meter.slug: meter.at for meter in book.meters}
    for prices in standing.values():
        for price in prices:
            at = price.at or places.get(price.meter or "")
            if at is not None:
                yield from _unknown_names(price, dimensions, at)
        yield from _ambiguous(prices)
    yield from _priced_twice(standing, stored)


def _unknown_names(
    price: StandingPrice, dimensions: dict[str, set[str]], at: Place
) -> Iterator[Problem]:
    if price.meter is None:
        return
    if price.meter not in dimensions:
        hint = did_you_mean(price.meter, dimensions) or " Add it to meters."
        yield Problem(
            at.inside("meter"), "UNKNOWN_METER", f"There is no meter {price.meter!r}.{hint}"
        )
        return
    known = dimensions[price.meter]
    for name in sorted(price.filters.values.keys() - known):
        hint = did_you_mean(name, known) or f" It has {', '.join(sorted(known)) or 'none'}."
        message = f"{price} filters by {name!r}, no dimension of {price.meter}.{hint}"
        field = "filters" if at == price.at else "dimensions"
        yield Problem(at.inside(field), "UNKNOWN_DIMENSION", message)


def _ambiguous(prices: list[StandingPrice]) -> Iterator[Problem]:
    for one, other in combinations(prices, 2):
        same = one.meter is not None and (one.meter, one.currency) == (other.meter, other.currency)
        at = other.at or one.at
        if same and at is not None and one.filters.collides(other.filters):
            yield Problem(
                at.inside("filters"),
                "AMBIGUOUS_FILTERS",
                f"{one} and {other} could match the same usage, neither more closely: let their"
                " filters differ, or let one name more dimensions.",
            )


def _priced_twice(standing: dict[str, list[StandingPrice]], stored: Stored) -> Iterator[Problem]:
    """Plans that somebody is on at the same time may not come to price the same meter."""
    slugs = {plan.id: plan.slug for plan in stored.plans.values()}
    for plan_id, other_id, currency in stored.held_together:
        for price in standing[slugs[plan_id]]:
            if price.meter is None or price.at is None or price.currency != currency:
                continue
            others = standing[slugs[other_id]]
            if any((x.meter, x.currency) == (price.meter, currency) for x in others):
                yield Problem(
                    price.at,
                    "METER_PRICED_TWICE",
                    f"{price.meter} is priced by {slugs[other_id]} too, and somebody is on both:"
                    f" remove it from one of the plans.",
                )
