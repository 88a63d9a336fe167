import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from billing.closing import (
    CHUNK_SIZE,
    EarlierPeriodOpen,
    PeriodAlreadyClosed,
    PeriodNotEnded,
    close_period_now,
)
from billing.estimates import estimate_for
from billing.invoices import get_invoice, steps_of
from billing.models import (
    AuditEntry,
    Invoice,
    InvoiceStatus,
    SyncState,
)
from billing.one_offs import NewOneOff, add_one_off
from billing.rules.invoicing import Settlement
from billing.rules.lines import LineKind
from billing.rules.money import Currency
from billing.rules.periods import Period
from billing.runtime import Runtime
from jobs.close_periods import close_periods
from tests.billing.customers import Sold, a_customer, invoices, sold_at
from tests.factories import EGRESS, a_plan, a_price, counted, subscribed
from tests.world import NOVEMBER_10, Clock

NOVEMBER = Period(datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC))
AFTER_GRACE = datetime(2026, 12, 2, 0, 1, tzinfo=UTC)


@pytest.fixture
async def sold(runtime: Runtime) -> Sold:
    return await sold_at(runtime, EGRESS)


async def sweep(runtime: Runtime) -> None:
    await close_periods({"runtime": runtime})


async def test_an_ended_period_waits_out_its_grace_and_is_then_issued(
    runtime: Runtime, clock: Clock, sold: Sold
) -> None:
    org = await a_customer(runtime, sold, "412.6", key="acme")
    await sweep(runtime)
    assert await invoices(runtime, org) == []

    clock.at = NOVEMBER.end + timedelta(hours=23)
    await sweep(runtime)
    (closing,) = await invoices(runtime, org)
    assert (closing.status, closing.number) == (InvoiceStatus.CLOSING, None)

    clock.at = AFTER_GRACE
    await sweep(runtime)
    (issued,) = await invoices(runtime, org)
    assert (issued.status, issued.number) == (InvoiceStatus.OPEN, "ACME-0001")
    assert issued.total.major == Decimal("5.94")
    assert issued.sync is not None
    assert issued.sync.state is SyncState.PENDING


async def test_the_invoice_is_the_last_estimate(runtime: Runtime, clock: Clock, sold: Sold) -> None:
    org = await a_customer(runtime, sold, "412.6")
    clock.at = AFTER_GRACE
    async with runtime.sessions() as session:
        estimate = await estimate_for(session, org, NOVEMBER, clock.at)
    await sweep(runtime)
    (issued,) = await invoices(runtime, org)

    assert issued.digest == estimate.digest
    assert issued.total == estimate.total
    async with runtime.sessions() as session:
        stored = await get_invoice(session, org.id, issued.id)
    assert [(x.key, x.quantity, x.amount_minor) for x in stored.lines] == [
        (x.key, x.quantity, x.amount.minor) for x in estimate.lines
    ]
    assert [steps_of(x) for x in stored.lines] == [x.steps for x in estimate.lines]
    assert [x.exact_minor for x in stored.lines] == [x.exact_minor for x in estimate.lines]


async def test_usage_that_is_late_but_within_the_grace_is_on_the_invoice(
    runtime: Runtime, clock: Clock, sold: Sold
) -> None:
    org = await a_customer(runtime, sold, "100")
    clock.at = NOVEMBER.end + timedelta(hours=1)
    await sweep(runtime)
    async with runtime.sessions.begin() as session:
        await counted(session, org.id, sold[0], "100", NOVEMBER.end - timedelta(minutes=1))
    clock.at = AFTER_GRACE
    await sweep(runtime)

    (issued,) = await invoices(runtime, org)
    assert issued.total.major == Decimal("2.00")


async def test_many_closers_at_once_close_each_period_once(
    runtime: Runtime, clock: Clock, sold: Sold
) -> None:
    customers = [await a_customer(runtime, sold, "412.6") for _ in range(8)]
    clock.at = AFTER_GRACE

    await asyncio.gather(*(sweep(runtime) for _ in range(4)))
    await sweep(runtime)

    for org in customers:
        (issued,) = await invoices(runtime, org)
        assert (issued.status, issued.total_minor) == (InvoiceStatus.OPEN, 594)
        assert issued.number == f"{org.invoice_prefix}-0001"


async def test_pennies_are_carried_until_they_can_be_collected(
    runtime: Runtime, clock: Clock, sold: Sold
) -> None:
    solo = await a_customer(runtime, sold, "115.5", key="solo")
    clock.at = AFTER_GRACE
    await sweep(runtime)
    (first,) = await invoices(runtime, solo)
    assert (first.status, first.total_minor) == (InvoiceStatus.PAID, 0)
    assert first.settled_by is Settlement.NOTHING_DUE
    assert first.sync is not None
    assert first.sync.state is SyncState.NOT_NEEDED

    async with runtime.sessions.begin() as session:
        at = datetime(2026, 12, 5, tzinfo=UTC)
        await counted(session, solo.id, sold[0], "115.5", at)
    clock.at = datetime(2027, 1, 3, tzinfo=UTC)
    await sweep(runtime)
    second, _ = await invoices(runtime, solo)
    async with runtime.sessions() as session:
        stored = await get_invoice(session, solo.id, second.id)

    assert [(x.kind, x.description, x.amount_minor) for x in stored.lines] == [
        (LineKind.CARRIED_IN, "Carried from SOLO-0001", 31),
        (LineKind.USAGE, "egress", 31),
    ]
    assert (second.status, second.total_minor) == (InvoiceStatus.OPEN, 62)


async def test_a_one_off_item_is_billed_once_and_an_earlier_one_with_the_next_invoice(
    runtime: Runtime, clock: Clock, sold: Sold
) -> None:
    org = await a_customer(runtime, sold, "0")

    async def sell(key: str, at: datetime) -> None:
        item = NewOneOff(key, Decimal("5.00"), Currency.USD, key, at)
        async with runtime.sessions.begin() as session:
            await add_one_off(session, org, item, actor="test", now=clock.at)

    await sell("november", NOVEMBER_10)
    clock.at = AFTER_GRACE
    await sell("december", AFTER_GRACE)
    async with runtime.sessions() as session:
        december = Period(NOVEMBER.end, datetime(2027, 1, 1, tzinfo=UTC))
        assert (await estimate_for(session, org, december, clock.at)).total.minor == 500
    await sweep(runtime)
    await sell("forgotten", NOVEMBER_10)
    clock.at = datetime(2027, 1, 3, tzinfo=UTC)
    await sweep(runtime)

    second, first = await invoices(runtime, org)
    assert (first.total_minor, second.total_minor) == (500, 1000)


async def test_several_ended_periods_are_closed_in_order(
    runtime: Runtime, clock: Clock, sold: Sold
) -> None:
    org = await a_customer(runtime, sold, "412.6", key="late")
    clock.at = datetime(2027, 2, 5, tzinfo=UTC)
    await sweep(runtime)

    found = await invoices(runtime, org)
    assert [x.period_start.month for x in found] == [1, 12, 11]
    assert [x.number for x in found] == ["LATE-0003", "LATE-0002", "LATE-0001"]


async def test_staff_may_waive_the_grace_but_not_the_period(
    runtime: Runtime, clock: Clock, sold: Sold
) -> None:
    org = await a_customer(runtime, sold, "412.6")

    async def close(end: datetime) -> Invoice:
        async with runtime.sessions.begin() as session:
            return await close_period_now(session, org, end, actor="person:olive", now=clock.at)

    with pytest.raises(PeriodNotEnded):
        await close(NOVEMBER.end)
    clock.at = datetime(2027, 1, 1, 0, 5, tzinfo=UTC)
    with pytest.raises(EarlierPeriodOpen):
        await close(datetime(2027, 1, 1, tzinfo=UTC))
    assert (await close(NOVEMBER.end)).status is InvoiceStatus.OPEN
    with pytest.raises(PeriodAlreadyClosed):
        await close(NOVEMBER.end)

    async with runtime.sessions() as session:
        acts = (await session.scalars(select(AuditEntry))).all()
    assert [(act.actor, act.action) for act in acts] == [("person:olive", "period.closed")]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE invoices SET total_minor = 1",
        "UPDATE invoices SET number = 'X-1'",
        "UPDATE invoice_lines SET amount_minor = 1",
        "UPDATE invoice_lines SET description = 'x'",
        "DELETE FROM invoice_lines",
        "DELETE FROM invoices",
        "INSERT INTO invoice_lines SELECT gen_random_uuid(), invoice_id, 99, kind, key,"
        " price_version_id, segment, description, product, span_start, span_end, quantity, unit,"
        " exact_minor, amount_minor, steps, corrects_id FROM invoice_lines",
    ],
)
async def test_an_issued_invoice_cannot_be_changed_even_in_sql(
    runtime: Runtime, clock: Clock, sold: Sold, change: str
) -> None:
    await a_customer(runtime, sold, "412.6")
    clock.at = AFTER_GRACE
    await sweep(runtime)

    async with runtime.sessions() as session:
        with pytest.raises(DBAPIError, match="cannot be changed"):
            await session.execute(text(change))


async def test_those_that_cannot_be_closed_stop_nobody_else(
    runtime: Runtime, clock: Clock, sold: Sold
) -> None:
    broken = [await a_customer(runtime, sold, "412.6") for _ in range(CHUNK_SIZE + 1)]
    async with runtime.sessions.begin() as session:
        plan = await a_plan(session, "broken")
        await a_price(session, plan, {"model": "NOBODY_KNOWS"})  # a fault of ours
        for org in broken:
            await subscribed(session, org, plan)
    sound = await a_customer(runtime, sold, "412.6")
    clock.at = AFTER_GRACE
    await sweep(runtime)

    assert [x.status for x in await invoices(runtime, sound)] == [InvoiceStatus.OPEN]
    assert [x.status for x in await invoices(runtime, broken[0])] == [InvoiceStatus.CLOSING]
