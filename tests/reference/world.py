"""One organization's whole small world in plain values: what a biller would need to know, no more.

Both the reference implementation and an adapter for the real product read these, so nothing here
computes anything. Money is integer minor units where a field ends in `_minor`, and major-unit
Decimals in prices. Every instant is aware and UTC.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal

AggregationName = Literal["SUM", "COUNT", "MAX", "UNIQUE_COUNT", "LATEST", "TIME_WEIGHTED"]
ModelName = Literal["PER_UNIT", "PACKAGE", "GRADUATED", "VOLUME", "FLAT"]
TimingName = Literal["ADVANCE", "ARREARS"]
GrantKind = Literal["PROMOTIONAL", "PREPAID"]
Value = str | int | Decimal


@dataclass(frozen=True)
class Organization:
    """Who is billed: its first period is the one that `opened_at` falls in."""

    key: str
    currency: str
    anchor_day: int
    opened_at: datetime


@dataclass(frozen=True)
class Meter:
    """What is measured: an event without the value property says nothing to this meter."""

    slug: str
    event_type: str
    value_property: str | None
    aggregation: AggregationName
    dimensions: tuple[str, ...]


@dataclass(frozen=True)
class Tier:
    """A step of a ladder: `up_to` is inclusive, None in the last."""

    up_to: Decimal | None
    unit_amount: Decimal
    flat_amount: Decimal = Decimal(0)


@dataclass(frozen=True)
class PriceVersion:
    """The terms of a price from an instant on; `amount` and `timing` belong to FLAT only."""

    effective_from: datetime
    model: ModelName
    unit_amount: Decimal = Decimal(0)
    package_size: int = 1
    tiers: tuple[Tier, ...] = ()
    allowance: Decimal = Decimal(0)
    minimum: Decimal = Decimal(0)
    maximum: Decimal | None = None
    amount: Decimal = Decimal(0)
    timing: TimingName = "ARREARS"


@dataclass(frozen=True)
class Price:
    """A price for one meter, or a fee when there is none."""

    slug: str
    meter: str | None
    filters: dict[str, tuple[str, ...]]
    versions: tuple[PriceVersion, ...]


@dataclass(frozen=True)
class Plan:
    """Prices that are sold together."""

    slug: str
    prices: tuple[Price, ...]


@dataclass(frozen=True)
class PriceOverride:
    """Other terms of one price for this organization from a whole hour on; None: the plan's."""

    plan: str
    price: str
    effective_from: datetime
    terms: PriceVersion | None
    recorded_at: datetime


@dataclass(frozen=True)
class Resumed:
    """A cancellation that was taken back before it came: known from one instant to another."""

    ends_at: datetime
    recorded_at: datetime
    taken_back_at: datetime


@dataclass(frozen=True)
class Subscription:
    """The organization on a plan; `created_at` and `end_recorded_at` say since when it is known.

    A plan change is two of these: the old one ends when the new one starts, and the new one names
    the old in `changes`.
    """

    key: str
    plan: str
    created_at: datetime
    starts_at: datetime
    ends_at: datetime | None = None
    end_recorded_at: datetime | None = None
    changes: str | None = None
    trial_ends_at: datetime | None = None
    resumed: Resumed | None = None


@dataclass(frozen=True)
class Event:
    """One delivery of an event: the same (source, id) may be delivered again."""

    id: str
    source: str
    type: str
    time: datetime
    data: dict[str, Value]
    recorded_at: datetime


@dataclass(frozen=True)
class Void:
    """A reversal of an identity."""

    source: str
    id: str
    recorded_at: datetime


@dataclass(frozen=True)
class OneOff:
    """A single item, a cost of the period it was incurred in."""

    key: str
    amount_minor: int
    incurred_at: datetime
    recorded_at: datetime


@dataclass(frozen=True)
class Coupon:
    """Exactly one of `percent` and `amount_minor` is set; `invoices` None lasts for ever."""

    name: str
    percent: Decimal | None
    amount_minor: int | None
    invoices: int | None
    created_at: datetime
    ended_at: datetime | None = None


@dataclass(frozen=True)
class CapChange:
    """The maximum bill from an instant on; None takes it away."""

    at: datetime
    amount_minor: int | None


@dataclass(frozen=True)
class Grant:
    """Money given (PROMOTIONAL, before tax) or bought ahead (PREPAID, after tax)."""

    name: str
    kind: GrantKind
    amount_minor: int
    scope: str | None
    priority: int
    valid_from: datetime
    expires_at: datetime | None
    created_at: datetime


@dataclass(frozen=True)
class TaxRate:
    """An exclusive rate on everything, from an instant (None: from the beginning) to another."""

    name: str
    percent: Decimal
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True)
class World:
    """All of it; `closes[i]` is the instant at which the i-th period's invoice leaves CLOSING."""

    organization: Organization
    meters: tuple[Meter, ...] = ()
    plans: tuple[Plan, ...] = ()
    subscriptions: tuple[Subscription, ...] = ()
    overrides: tuple[PriceOverride, ...] = ()
    events: tuple[Event, ...] = ()
    voids: tuple[Void, ...] = ()
    one_offs: tuple[OneOff, ...] = ()
    coupons: tuple[Coupon, ...] = ()
    caps: tuple[CapChange, ...] = ()
    grants: tuple[Grant, ...] = ()
    taxes: tuple[TaxRate, ...] = ()
    closes: tuple[datetime, ...] = ()
    bhd_smallest_minor: int = 100  # the page leaves BHD's smallest charge to a setting
