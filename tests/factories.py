"""Small worlds for tests, made through the rows the product reads."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from billing.ids import OrgId
from billing.models import (
    Meter,
    Organization,
    Plan,
    Price,
    PriceVersion,
    Subscription,
    UsageBucket,
    UsageSeries,
)
from billing.rules.aggregation import Aggregation
from billing.rules.money import Currency
from billing.rules.periods import floor_hour, period_at
from billing.usage.months import make_partitions, month_of

LONG_AGO = datetime(2025, 1, 1, tzinfo=UTC)
DECEMBER = datetime(2026, 12, 1, tzinfo=UTC)
_numbers = count(1)

EGRESS = {
    "model": "GRADUATED",
    "allowance": "100",
    "tiers": [
        {"up_to": "250", "unit_amount": "0.02"},
        {"up_to": None, "unit_amount": "0.015"},
    ],
}
"""Worked example 4: 412.6 GB cost 5.94."""


async def an_organization(
    session: AsyncSession,
    *,
    key: str | None = None,
    currency: Currency = Currency.USD,
    anchor_day: int = 1,
    opened_at: datetime = datetime(2026, 11, 1, tzinfo=UTC),
) -> Organization:
    """One whose open period is the one that holds `opened_at`."""
    name = key or f"org-{next(_numbers)}"
    org = Organization(
        key=name,
        slug=name,
        name=name.title(),
        currency=currency,
        anchor_day=anchor_day,
        billing_email=f"billing@{name}.example",
        invoice_prefix=name.upper(),
        opened_at=opened_at,
        open_period_end=period_at(opened_at, anchor_day).end,
        recorded_at=opened_at,
    )
    session.add(org)
    await session.flush()
    return org


async def a_meter(
    session: AsyncSession,
    slug: str = "egress_gb",
    *,
    aggregation: Aggregation = Aggregation.SUM,
    dimensions: Mapping[str, str] | None = None,
    event_type: str | None = None,
) -> Meter:
    """Fed by events of type `slug`, with app and region unless told otherwise.

    Of any aggregation, those that a price book may not have yet included.
    """
    named = {"app": "app", "region": "region"} if dimensions is None else dict(dimensions)
    meter = Meter(
        slug=slug,
        name=slug.replace("_", " "),
        unit="GB",
        event_type=event_type or slug,
        value_property=None if aggregation is Aggregation.COUNT else "value",
        aggregation=aggregation,
        dimensions=named,
        recorded_at=LONG_AGO,
    )
    session.add(meter)
    await session.flush()
    return meter


async def a_plan(session: AsyncSession, slug: str = "pro") -> Plan:
    """A plan without prices yet."""
    plan = Plan(slug=slug, name=slug.title(), recorded_at=LONG_AGO)
    session.add(plan)
    await session.flush()
    return plan


async def a_price(
    session: AsyncSession,
    plan: Plan,
    terms: Mapping[str, Any],
    *,
    meter: Meter | None = None,
    slug: str | None = None,
    currency: Currency = Currency.USD,
    filters: Mapping[str, list[str]] | None = None,
) -> Price:
    """A price of one version, in force since long ago."""
    number = next(_numbers)
    price = Price(
        plan_id=plan.id,
        position=number,
        slug=slug or f"price-{number}",
        name=slug or (meter.name if meter else "fee"),
        currency=currency,
        meter_id=meter.id if meter else None,
        filters=dict(filters or {}),
        recorded_at=LONG_AGO,
    )
    session.add(price)
    await session.flush()
    await a_version(session, price, terms, LONG_AGO)
    return price


async def a_version(
    session: AsyncSession, price: Price, terms: Mapping[str, Any], effective_from: datetime
) -> PriceVersion:
    """The price's next version."""
    version = PriceVersion(
        price_id=price.id,
        number=1 if effective_from == LONG_AGO else 2,
        effective_from=effective_from,
        terms=dict(terms),
        recorded_at=LONG_AGO,
    )
    session.add(version)
    await session.flush()
    return version


async def subscribed(
    session: AsyncSession,
    org: Organization,
    plan: Plan,
    *,
    since: datetime = LONG_AGO,
    until: datetime | None = None,
    free_until: datetime | None = None,
) -> Subscription:
    """An organization on a plan; no invoice has billed its fees yet, unless they are waived."""
    subscription = Subscription(
        org_id=org.id,
        plan_id=plan.id,
        starts_at=since,
        ends_at=until,
        trial_ends_at=free_until,
        recorded_at=LONG_AGO,
    )
    session.add(subscription)
    await session.flush()
    return subscription


async def counted(
    session: AsyncSession,
    org_id: OrgId,
    meter: Meter,
    quantity: Decimal | str | int,
    at: datetime,
    **dimensions: str,
) -> None:
    """Usage as the store leaves it: one event of one series, in its hour's bucket."""
    number = next(_numbers)
    series = UsageSeries(
        org_id=org_id,
        meter_id=meter.id,
        digest=number.to_bytes(8, "big"),
        dimensions=dimensions,
        recorded_at=at,
    )
    session.add(series)
    await session.flush()
    await make_partitions(async_sessionmaker(session.bind), [month_of(at)])
    value = Decimal(quantity)
    session.add(
        UsageBucket(
            series_id=series.id,
            hour=floor_hour(at),
            event_count=1,
            total=value,
            highest=value,
        )
    )
    await session.flush()
