"""What applying a book would change: added, changed, or kept though the book lacks it."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from billing.models import Meter, Plan, Price
from billing.models.base import Json
from billing.price_book.book import MeterEntry, PlanEntry, PriceBook, PriceEntry
from billing.price_book.standing import price_name
from billing.price_book.stored import Stored
from billing.price_book.wording import (
    instant_words,
    meter_words,
    price_words,
    version_words,
)


class Change(StrEnum):
    """What happens to one thing of the catalogue."""

    ADDED = "ADDED"
    CHANGED = "CHANGED"
    KEPT = "KEPT"


class Kind(StrEnum):
    """What is sold, from the whole to the part."""

    METER = "meter"
    PLAN = "plan"
    PRICE = "price"
    VERSION = "version"


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing between the book and the database; `name` is public, `summary` for people."""

    change: Change
    kind: Kind
    name: str
    summary: str


@dataclass(frozen=True, slots=True)
class BookDiff:
    """All of them, in the book's order. Without additions and changes nothing is written."""

    differences: tuple[Difference, ...]

    @property
    def is_empty(self) -> bool:
        """Whether the catalogue is as the book wants it already."""
        return all(difference.change is Change.KEPT for difference in self.differences)

    def count(self, change: Change) -> int:
        """How many differences of one kind of change there are."""
        return sum(difference.change is change for difference in self.differences)

    def as_json(self) -> Json:
        """For scripts, and for the audit."""
        return {
            **{change.value.lower(): self.count(change) for change in Change},
            "differences": [
                {"change": x.change, "kind": x.kind, "name": x.name, "summary": x.summary}
                for x in self.differences
            ],
        }


def differences_between(book: PriceBook, stored: Stored) -> BookDiff:
    """What `book` would change, provided it is not refused."""
    named = {meter.slug for meter in book.meters}
    planned = {plan.slug for plan in book.plans}
    return BookDiff(
        (
            *(x for meter in book.meters for x in _meter(meter, stored.meters.get(meter.slug))),
            *(_kept(Kind.METER, slug) for slug in stored.meters if slug not in named),
            *(x for plan in book.plans for x in _plan(plan, stored)),
            *(_kept(Kind.PLAN, slug) for slug in stored.plans if slug not in planned),
        )
    )


def _kept(kind: Kind, name: str) -> Difference:
    return Difference(Change.KEPT, kind, name, "not in the book, stays as it is")


def _meter(entry: MeterEntry, row: Meter | None) -> Iterator[Difference]:
    if row is None:
        yield Difference(Change.ADDED, Kind.METER, entry.slug, meter_words(entry))
        return
    before_and_after = {
        "name": (row.name, entry.name),
        "unit": (row.unit, entry.unit),
        "event_type": (row.event_type, entry.event_type),
        "value": (row.value_property, entry.value_property),
        "aggregation": (row.aggregation, entry.aggregation),
        "dimensions": (row.dimensions, entry.dimensions),
    }
    for field, (before, after) in before_and_after.items():
        if before != after:
            words = f"{field}: {before} → {after}"
            yield Difference(Change.CHANGED, Kind.METER, entry.slug, words)


def _plan(entry: PlanEntry, stored: Stored) -> Iterator[Difference]:
    row = stored.plans.get(entry.slug)
    if row is None:
        yield Difference(Change.ADDED, Kind.PLAN, entry.slug, entry.name)
    else:
        yield from _plan_changes(entry, row)
    for price in entry.prices:
        name = price_name(entry.slug, *price.key)
        yield from _price(name, price, stored.price(entry.slug, price.key))
    named = {price.key for price in entry.prices}
    for kept in row.prices if row else []:
        if (kept.slug, kept.currency) not in named:
            yield _kept(Kind.PRICE, price_name(entry.slug, kept.slug, kept.currency))


def _plan_changes(entry: PlanEntry, row: Plan) -> Iterator[Difference]:
    if row.name != entry.name:
        words = f"name: {row.name} → {entry.name}"
        yield Difference(Change.CHANGED, Kind.PLAN, entry.slug, words)
    order = [(price.slug, price.currency) for price in row.prices]
    wanted = [price.key for price in entry.prices if price.key in order]
    if wanted != [key for key in order if key in wanted]:
        yield Difference(Change.CHANGED, Kind.PLAN, entry.slug, "prices in another order")


def _price(name: str, entry: PriceEntry, row: Price | None) -> Iterator[Difference]:
    if row is None:
        yield Difference(Change.ADDED, Kind.PRICE, name, price_words(entry))
    elif row.name != entry.name:
        words = f"name: {row.name} → {entry.name}"
        yield Difference(Change.CHANGED, Kind.PRICE, name, words)
    existing = {version.effective_from: version.number for version in row.versions} if row else {}
    number = max(existing.values(), default=0)
    for version in entry.versions:
        if version.effective_from not in existing:
            number += 1
            words = version_words(version, entry.currency)
            yield Difference(Change.ADDED, Kind.VERSION, f"{name}@{number}", words)
    written = {version.effective_from for version in entry.versions}
    for instant, kept in existing.items():
        if instant not in written:
            words = f"from {instant_words(instant)}, not in the book, stays as it is"
            yield Difference(Change.KEPT, Kind.VERSION, f"{name}@{kept}", words)
