import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from billing.closing import close_period_now
from billing.errors import BillingError
from billing.estimates import current_estimate
from billing.invoices import get_invoice, invoices_for_org
from billing.models import Invoice, InvoiceKind, InvoiceStatus, Organization, Subscription
from billing.outages import ChangedMeanwhile
from billing.runtime import Runtime
from billing.subscribing import StartInClosedPeriod, start_subscription
from jobs.close_periods import close_periods
from tests.billing.usage.locks import somebody_waits
from tests.factories import a_meter, a_plan, a_price, an_organization
from tests.world import Clock

FEE = {"model": "FLAT", "amount": "29.00", "timing": "ADVANCE"}
NOVEMBER_15 = datetime(2026, 11, 15, 14, 37, tzinfo=UTC)


@pytest.fixture
async def acme(runtime: Runtime, clock: Clock) -> Organization:
    clock.at = NOVEMBER_15
    async with runtime.sessions.begin() as session:
        org = await an_organization(session, key="acme")
        meter = await a_meter(session)
        for slug in ("pro", "rival"):
            plan = await a_plan(session, slug)
            await a_price(session, plan, {"model": "PER_UNIT", "unit_amount": "1"}, meter=meter)
        fees = await a_plan(session, "support")
        await a_price(session, fees, FEE, slug="base")
    return org


async def start(runtime: Runtime, org: Organization, plan: str, at: datetime) -> Subscription:
    async with runtime.sessions.begin() as session:
        now = await runtime.now()
        return await start_subscription(session, org, plan, at, actor="test", now=now)


async def invoices(runtime: Runtime, org: Organization) -> list[Invoice]:
    async with runtime.sessions() as session:
        found = await invoices_for_org(session, org.id, limit=10)
        return [await get_invoice(session, org.id, x.id) for x in found]


async def test_worked_example_9_the_first_fee_is_invoiced_at_once(
    runtime: Runtime, acme: Organization
) -> None:
    await start(runtime, acme, "support", NOVEMBER_15)

    (first,) = await invoices(runtime, acme)
    assert (first.kind, first.status) == (InvoiceKind.OFF_CYCLE, InvoiceStatus.OPEN)
    assert first.total.major == Decimal("14.90")
    assert first.period_start == NOVEMBER_15.replace(minute=0)


async def test_every_later_period_is_paid_for_once(
    runtime: Runtime, clock: Clock, acme: Organization
) -> None:
    await start(runtime, acme, "support", NOVEMBER_15)
    for month in (12, 13, 14):
        clock.at = datetime(2026 + month // 13, (month - 1) % 12 + 1, 3, tzinfo=UTC)
        await close_periods({"runtime": runtime})

    found = await invoices(runtime, acme)
    paid_for = [(x.span_start, x.span_end) for invoice in found for x in invoice.lines]
    starts = [datetime(2026, 12, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)]
    assert sorted(paid_for) == [
        (NOVEMBER_15.replace(minute=0), starts[0]),
        (starts[0], starts[1]),
        (starts[1], datetime(2027, 2, 1, tzinfo=UTC)),
        (datetime(2027, 2, 1, tzinfo=UTC), datetime(2027, 3, 1, tzinfo=UTC)),
    ]


async def test_a_start_while_the_last_period_is_closing_is_not_billed_twice(
    runtime: Runtime, clock: Clock, acme: Organization
) -> None:
    clock.at = datetime(2026, 12, 1, 10, tzinfo=UTC)
    await close_periods({"runtime": runtime})
    await start(runtime, acme, "support", clock.at)
    clock.advance(timedelta(days=2))
    await close_periods({"runtime": runtime})

    december, november = await invoices(runtime, acme)
    assert december.kind is InvoiceKind.OFF_CYCLE
    assert november.lines == []


async def test_the_fee_of_the_next_period_is_in_the_estimate(
    runtime: Runtime, acme: Organization
) -> None:
    await start(runtime, acme, "support", NOVEMBER_15)
    async with runtime.sessions() as session:
        estimate = await current_estimate(session, acme, NOVEMBER_15)

    assert estimate.accrued.minor == 0
    assert estimate.in_advance.major == Decimal("29.00")


@pytest.mark.parametrize(
    ("plan", "at", "code"),
    [
        ("nothing", NOVEMBER_15, "PLAN_NOT_FOUND"),
        ("pro", NOVEMBER_15 + timedelta(hours=1), "START_IN_FUTURE"),
        ("pro", datetime(2026, 10, 31, 23, tzinfo=UTC), "START_IN_CLOSED_PERIOD"),
        ("rival", NOVEMBER_15, "METER_PRICED_TWICE"),
        ("pro", NOVEMBER_15, "ALREADY_ON_PLAN"),
    ],
)
async def test_what_cannot_be_billed_is_refused_when_written(
    runtime: Runtime, acme: Organization, plan: str, at: datetime, code: str
) -> None:
    if code in {"METER_PRICED_TWICE", "ALREADY_ON_PLAN"}:
        await start(runtime, acme, "pro", NOVEMBER_15)
    with pytest.raises(BillingError) as refusal:
        await start(runtime, acme, plan, at)

    assert refusal.value.code == code
    assert await invoices(runtime, acme) == []


DECEMBER = datetime(2026, 12, 1, tzinfo=UTC)


async def test_a_start_reads_what_is_closed_under_its_lock(
    runtime: Runtime, clock: Clock, acme: Organization
) -> None:
    clock.at = DECEMBER + timedelta(minutes=1)
    async with runtime.sessions.begin() as session:
        seen_before = await session.get_one(Organization, acme.id)
        async with runtime.sessions.begin() as staff:
            await close_period_now(staff, acme, DECEMBER, actor="test", now=clock.at)
        with pytest.raises(StartInClosedPeriod):
            await start_subscription(
                session, seen_before, "support", NOVEMBER_15, actor="test", now=clock.at
            )


async def test_a_close_that_waited_for_a_start_does_not_miss_it(
    runtime: Runtime, clock: Clock, acme: Organization
) -> None:
    clock.at = DECEMBER + timedelta(minutes=1)
    locked = asyncio.Event()

    async def start_slowly() -> None:
        async with runtime.sessions.begin() as session:
            org = await session.get_one(Organization, acme.id)
            await start_subscription(session, org, "pro", NOVEMBER_15, actor="test", now=clock.at)
            locked.set()
            async with asyncio.timeout(10):
                await somebody_waits(runtime)

    starting = asyncio.create_task(start_slowly())
    await locked.wait()
    with pytest.raises(ChangedMeanwhile):
        async with runtime.sessions.begin() as session:
            await close_period_now(session, acme, DECEMBER, actor="test", now=clock.at)
    await starting
