from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import select

from billing.bill_diffs import Compared, diff_with_last, diff_with_previous
from billing.closing import close_period_now
from billing.estimates import current_estimate
from billing.invoices import get_invoice_by_number
from billing.models import Invoice, InvoiceKind, InvoiceStatus, Meter, Organization, Price
from billing.one_offs import NewOneOff, add_one_off
from billing.rules.bill_diff import MovementKind
from billing.rules.money import Currency, Money
from billing.runtime import Runtime
from tests.factories import (
    a_meter,
    a_plan,
    a_price,
    a_version,
    an_organization,
    counted,
    subscribed,
)

NOVEMBER = datetime(2026, 11, 1, tzinfo=UTC)
DECEMBER = datetime(2026, 12, 1, tzinfo=UTC)
JANUARY = datetime(2027, 1, 1, tzinfo=UTC)
NOW = datetime(2026, 12, 10, 14, tzinfo=UTC)
MACHINES = {"model": "PER_UNIT", "unit_amount": "0.10"}
CHEAPER = {"model": "PER_UNIT", "unit_amount": "0.08"}
FEE = {"model": "FLAT", "amount": "5.00", "timing": "ARREARS"}


class World:
    """One customer, its machines and their price."""

    def __init__(self, runtime: Runtime, org: Organization, meter: Meter, price: Price) -> None:
        self.runtime, self.org, self.meter, self.price = runtime, org, meter, price

    async def use(self, at: datetime, quantity: int, resource: str | None, region: str) -> None:
        named = {"region": region} | ({"resource": resource} if resource else {})
        async with self.runtime.sessions.begin() as session:
            await counted(session, self.org.id, self.meter, quantity, at, **named)

    async def close(self, until: datetime) -> None:
        async with self.runtime.sessions.begin() as session:
            now = until + timedelta(days=2)
            await close_period_now(session, self.org, until, actor="test", now=now)

    async def last(self, now: datetime = NOW, *, same_days: bool = False) -> Compared | None:
        async with self.runtime.sessions() as session:
            estimate = await current_estimate(session, self.org, now)
            return await diff_with_last(session, self.org, estimate, same_days=same_days)


@pytest.fixture
async def world(runtime: Runtime) -> World:
    """In November web-1 for 100 hours on the 5th, and web-2 for 50 on the 20th; 5.00 a month."""
    async with runtime.sessions.begin() as session:
        org = await an_organization(session, key="acme")
        dimensions = {"region": "region", "resource": "resource"}
        meter = await a_meter(session, "machines", dimensions=dimensions)
        plan = await a_plan(session)
        price = await a_price(session, plan, MACHINES, meter=meter, slug="machines")
        await a_price(session, plan, FEE, slug="base")
        await subscribed(session, org, plan)
    world = World(runtime, org, meter, price)
    await world.use(NOVEMBER + timedelta(days=4), 100, "web-1", "fra")
    await world.use(NOVEMBER + timedelta(days=19), 50, "web-2", "syd")
    return world


async def test_the_first_period_has_nothing_to_be_compared_with(world: World) -> None:
    assert await world.last(NOVEMBER + timedelta(days=10)) is None
    await world.close(DECEMBER)
    invoice = await the_invoice(world, "ACME-0001")
    async with world.runtime.sessions() as session:
        assert await diff_with_previous(session, world.org, invoice, NOW) is None


async def test_the_open_period_against_the_whole_of_the_last(world: World) -> None:
    await world.close(DECEMBER)
    await world.use(DECEMBER + timedelta(days=1), 120, "web-1", "fra")
    await world.use(DECEMBER + timedelta(days=2), 300, "web-3", "fra")

    found = await world.last()

    assert found is not None
    assert (found.before_number, found.after_number) == ("ACME-0001", None)
    assert found.words == (
        "Up $27.00 on November: +$30.00 new web-3 (fra): machines,"
        " −$5.00 gone web-2 (syd): machines, +$2.00 machines volume."
    )


async def test_the_same_days_leave_out_what_was_used_later(world: World) -> None:
    async with world.runtime.sessions.begin() as session:
        for day in (3, 25):
            at = NOVEMBER + timedelta(days=day)
            item = NewOneOff("Import", Decimal("1.00"), Currency.USD, f"import-{day}")
            await add_one_off(session, world.org, item, actor="test", now=at)
    await world.close(DECEMBER)
    await world.use(DECEMBER + timedelta(days=1), 90, "web-1", "fra")

    found = await world.last(same_days=True)

    assert found is not None
    assert found.diff.before == Money(1600, Currency.USD), "the fee, web-1, the import on the 4th"
    assert found.words == (
        "Down $2.00 on the same days of November: −$1.00 machines volume, −$1.00 one-off items."
    )


async def test_in_the_first_hour_no_day_can_be_compared(world: World) -> None:
    await world.close(DECEMBER)

    assert await world.last(DECEMBER + timedelta(minutes=59), same_days=True) is None
    assert await world.last(DECEMBER + timedelta(hours=1), same_days=True) is not None


async def test_another_price_is_told_from_another_volume(world: World) -> None:
    await world.close(DECEMBER)
    async with world.runtime.sessions.begin() as session:
        await a_version(session, world.price, CHEAPER, DECEMBER)
    await world.use(DECEMBER + timedelta(days=1), 120, "web-1", "fra")
    await world.use(DECEMBER + timedelta(days=1), 50, "web-2", "syd")

    found = await world.last()

    assert found is not None
    assert [(x.kind, x.amount.minor) for x in found.diff.movements] == [
        (MovementKind.PRICE, -340),
        (MovementKind.VOLUME, 200),
    ]


async def test_an_invoice_is_compared_with_the_one_before_it(world: World) -> None:
    await world.close(DECEMBER)
    await world.use(DECEMBER + timedelta(days=1), 10, None, "fra")
    await world.close(JANUARY)

    invoice = await the_invoice(world, "ACME-0002")
    async with world.runtime.sessions() as session:
        found = await diff_with_previous(session, world.org, invoice, JANUARY)

    assert found is not None
    assert (found.before_number, found.after_number) == ("ACME-0001", "ACME-0002")
    assert found.words == (
        "Down $14.00 on November: −$10.00 gone web-1 (fra): machines,"
        " −$5.00 gone web-2 (syd): machines, +$1.00 machines volume."
    )


async def test_only_invoices_of_periods_that_stand_are_compared(world: World) -> None:
    await world.close(DECEMBER)
    async with world.runtime.sessions.begin() as session:
        invoice = await session.scalar(select(Invoice).where(Invoice.number == "ACME-0001"))
        assert invoice is not None
        invoice.status = InvoiceStatus.VOID

    assert await world.last() is None
    async with world.runtime.sessions() as session:
        off_cycle = Invoice(kind=InvoiceKind.OFF_CYCLE, period_start=JANUARY)
        assert await diff_with_previous(session, world.org, off_cycle, JANUARY) is None


async def the_invoice(world: World, number: str) -> Invoice:
    async with world.runtime.sessions() as session:
        return await get_invoice_by_number(session, world.org.id, number)
