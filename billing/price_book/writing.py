"""Writing a book that is not refused. What the database has besides, it keeps."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from billing.ids import MeterId
from billing.models import Meter, Plan, Price, PriceVersion
from billing.price_book.book import MeterEntry, PlanEntry, PriceBook, PriceEntry
from billing.price_book.stored import Stored


async def write_book(session: AsyncSession, book: PriceBook, stored: Stored, now: datetime) -> None:
    """Add and rename; a version that is there is left alone."""
    meters = [_meter(entry, stored, now) for entry in book.meters]
    session.add_all(meters)
    await session.flush()  # gives new meters their ids
    ids = {meter.slug: meter.id for meter in [*stored.meters.values(), *meters]}
    for entry in book.plans:
        session.add(_plan(entry, stored, ids, now))


def _meter(entry: MeterEntry, stored: Stored, now: datetime) -> Meter:
    row = stored.meters.get(entry.slug) or Meter(slug=entry.slug, recorded_at=now)
    row.name = entry.name
    row.unit = entry.unit
    row.event_type = entry.event_type
    row.value_property = entry.value_property
    row.aggregation = entry.aggregation
    row.dimensions = dict(entry.dimensions)
    return row


def _plan(entry: PlanEntry, stored: Stored, meters: dict[str, MeterId], now: datetime) -> Plan:
    row = stored.plans.get(entry.slug) or Plan(slug=entry.slug, recorded_at=now, prices=[])
    row.name = entry.name
    written = []
    for price in entry.prices:
        existing = stored.price(entry.slug, price.key)
        written.append(existing or _new_price(price, row, meters, now))
        written[-1].name = price.name
        _add_versions(price, written[-1], now)
    kept = [price for price in row.prices if price not in written]
    for position, price_row in enumerate([*written, *kept]):
        price_row.position = position
    return row


def _new_price(entry: PriceEntry, plan: Plan, meters: dict[str, MeterId], now: datetime) -> Price:
    row = Price(
        slug=entry.slug,
        currency=entry.currency,
        meter_id=meters[entry.meter] if entry.meter else None,
        filters={name: list(values) for name, values in entry.filters.items()},
        recorded_at=now,
        versions=[],
    )
    plan.prices.append(row)
    return row


def _add_versions(entry: PriceEntry, row: Price, now: datetime) -> None:
    existing = {version.effective_from for version in row.versions}
    for version in entry.versions:
        if version.effective_from not in existing:
            row.versions.append(
                PriceVersion(
                    number=max((x.number for x in row.versions), default=0) + 1,
                    effective_from=version.effective_from,
                    terms=version.terms,
                    recorded_at=now,
                )
            )
