"""A price book that has been read: values, each knowing where it stands in the file."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from billing.models.base import Json
from billing.price_book.problems import Place
from billing.rules.aggregation import Aggregation
from billing.rules.money import Currency


@dataclass(frozen=True, slots=True)
class MeterEntry:
    """A meter. `dimensions` maps each name to its key in an event's data."""

    at: Place
    slug: str
    name: str
    unit: str
    event_type: str
    value_property: str | None
    aggregation: Aggregation
    dimensions: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class VersionEntry:
    """Terms as they are stored, from a whole UTC hour on. `asked_for` is as it was written."""

    at: Place
    effective_from: datetime
    asked_for: datetime
    terms: Json


@dataclass(frozen=True, slots=True)
class PriceEntry:
    """A price for a meter, or a fee (no meter); its versions in the order they take effect."""

    at: Place
    slug: str
    name: str
    currency: Currency
    meter: str | None
    filters: Mapping[str, tuple[str, ...]]
    versions: tuple[VersionEntry, ...]

    @property
    def key(self) -> tuple[str, Currency]:
        """What makes it one price within its plan."""
        return self.slug, self.currency


@dataclass(frozen=True, slots=True)
class PlanEntry:
    """A plan and its prices, in the order they are shown."""

    at: Place
    slug: str
    name: str
    prices: tuple[PriceEntry, ...]


@dataclass(frozen=True, slots=True)
class PriceBook:
    """What is to be sold. What the database has besides, it keeps."""

    meters: tuple[MeterEntry, ...] = field(default=())
    plans: tuple[PlanEntry, ...] = field(default=())
