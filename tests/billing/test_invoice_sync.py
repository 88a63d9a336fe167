"""Pushing: one invoice there for each of ours, with our total, through every fault."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import update

from billing.errors import Conflict
from billing.invoice_sync import push_due, retry_push
from billing.invoice_sync.push import LINES_PER_CALL_MAX
from billing.invoices import sync_health
from billing.models import Invoice, InvoiceSync, Organization, SyncState
from billing.runtime import Runtime
from sandbox.stripe.app import FakeStripe
from sandbox.stripe.chaos import Fault, Switch
from tests.billing.pushing import (
    ADD_LINES,
    FINALIZE,
    STEPS,
    an_issued_invoice,
    assert_exactly_once,
    calls,
    held,
    sync_of,
    until_pushed,
)
from tests.world import NOVEMBER_10, Clock


@pytest.mark.parametrize("count", [1, LINES_PER_CALL_MAX, LINES_PER_CALL_MAX + 1, 250])
async def test_a_push_takes_two_calls_and_one_for_each_hundred_lines(
    connected: Runtime, fake: FakeStripe, count: int
) -> None:
    invoice_id = await an_issued_invoice(connected, *[100] * count)
    await push_due(connected)

    assert (await sync_of(connected, invoice_id)).state is SyncState.PUSHED
    assert_exactly_once(fake, invoice_id, 100 * count, count)
    assert calls(fake, *STEPS) == 2 + -(-count // LINES_PER_CALL_MAX)


async def test_what_is_pushed_is_not_pushed_again(connected: Runtime, fake: FakeStripe) -> None:
    await an_issued_invoice(connected)
    await push_due(connected)
    before = fake.world.calls.total()

    assert await push_due(connected) == 0
    assert fake.world.calls.total() == before


@pytest.mark.parametrize("operation", STEPS)
@pytest.mark.parametrize(
    "fault",
    [
        Fault.DOWN,
        Fault.RATE_LIMIT,
        Fault.TIMEOUT_AFTER_COMMIT,
        Fault.ERROR_BEFORE_COMMIT,
        Fault.ERROR_AFTER_COMMIT,
    ],
)
async def test_any_fault_at_any_step_ends_in_one_invoice_with_our_total(
    connected: Runtime, fake: FakeStripe, clock: Clock, operation: str, fault: Fault
) -> None:
    invoice_id = await an_issued_invoice(connected)
    fake.world.chaos.turn_on(fault, Switch(operation=operation, calls=1))

    sync = await until_pushed(connected, clock, invoice_id)

    assert sync.state is SyncState.PUSHED
    assert_exactly_once(fake, invoice_id, 3494, 2)


@pytest.mark.parametrize("operation", STEPS)
async def test_a_key_that_stripe_has_forgotten_does_not_bill_twice(
    connected: Runtime, fake: FakeStripe, clock: Clock, operation: str
) -> None:
    invoice_id = await an_issued_invoice(connected)
    fake.world.chaos.turn_on(Fault.TIMEOUT_AFTER_COMMIT, Switch(operation=operation, calls=1))
    await push_due(connected)
    clock.advance(timedelta(hours=25))

    await until_pushed(connected, clock, invoice_id)

    assert_exactly_once(fake, invoice_id, 3494, 2)


async def test_a_restored_backup_does_not_bill_twice(
    connected: Runtime, fake: FakeStripe, clock: Clock
) -> None:
    invoice_id = await an_issued_invoice(connected)
    async with connected.sessions() as session:
        backup = await session.get_one(InvoiceSync, invoice_id)
    await push_due(connected)
    clock.advance(timedelta(hours=25))
    async with connected.sessions.begin() as session:
        await session.execute(
            update(InvoiceSync).values(
                state=backup.state, step=backup.step, keyed_at=None, stripe_invoice_id=None
            )
        )
    sync = await until_pushed(connected, clock, invoice_id)

    assert sync.state is SyncState.PUSHED
    assert_exactly_once(fake, invoice_id, 3494, 2)


async def test_two_workers_share_the_queue(connected: Runtime, fake: FakeStripe) -> None:
    ids = [await an_issued_invoice(connected) for _ in range(12)]

    await asyncio.gather(*(push_due(connected) for _ in range(3)))

    for invoice_id in ids:
        assert_exactly_once(fake, invoice_id, 3494, 2)
    assert calls(fake, *STEPS) == 3 * len(ids)


async def test_a_total_that_is_not_ours_is_never_finalized(
    connected: Runtime, fake: FakeStripe, clock: Clock
) -> None:
    invoice_id = await an_issued_invoice(connected)
    fake.world.chaos.turn_on(Fault.DOWN, Switch(operation=FINALIZE, calls=1))
    fake.world.chaos.turn_on(Fault.TIMEOUT_AFTER_COMMIT, Switch(operation=ADD_LINES, calls=1))
    await push_due(connected)
    (draft,) = held(fake)
    draft.lines[0].amount += 1
    clock.advance(timedelta(hours=25))
    await push_due(connected)

    sync = await sync_of(connected, invoice_id)
    assert (sync.state, sync.error_code) == (SyncState.HELD, "STRIPE_MISMATCH")
    assert sync.error_message == "Stripe's total is 3495, ours 3494 minor units."
    assert calls(fake, FINALIZE) == 0


async def test_what_stripe_refuses_is_shown_and_not_tried_again(
    connected: Runtime, fake: FakeStripe
) -> None:
    invoice_id = await an_issued_invoice(connected)
    async with connected.sessions.begin() as session:
        await session.execute(update(Organization).values(stripe_customer_id="cus_of_nobody"))
    await push_due(connected)

    sync = await sync_of(connected, invoice_id)
    assert (sync.state, sync.error_code) == (SyncState.FAILED, "STRIPE_REFUSED")
    assert "cus_of_nobody" in str(sync.error_message)
    assert await push_due(connected) == 0


async def test_a_stopped_invoice_is_tried_again_when_staff_say_so(
    connected: Runtime, fake: FakeStripe
) -> None:
    invoice_id = await an_issued_invoice(connected)
    async with connected.sessions.begin() as session:
        await session.execute(update(Organization).values(stripe_customer_id="cus_of_nobody"))
        invoice = await session.get_one(Invoice, invoice_id)
    await push_due(connected)
    async with connected.sessions.begin() as session:
        await session.execute(update(Organization).values(stripe_customer_id=None))
        await retry_push(session, str(invoice.number), actor="cli", now=NOVEMBER_10)
    await push_due(connected)

    assert_exactly_once(fake, invoice_id, 3494, 2)
    async with connected.sessions.begin() as session:
        with pytest.raises(Conflict, match="is PUSHED"):
            await retry_push(session, str(invoice.number), actor="cli", now=NOVEMBER_10)


async def test_an_outage_costs_nothing_but_time(
    connected: Runtime, fake: FakeStripe, clock: Clock
) -> None:
    invoice_id = await an_issued_invoice(connected)
    fake.world.chaos.turn_on(Fault.DOWN)
    for _ in range(5):
        await push_due(connected)
        clock.advance(timedelta(minutes=10))
    async with connected.sessions() as session:
        health = await sync_health(session, clock.at)
    assert (health.waiting, health.is_delayed) == (1, True)
    assert health.oldest_waiting_since == NOVEMBER_10

    fake.world.chaos.turn_off(Fault.DOWN)
    sync = await until_pushed(connected, clock, invoice_id)
    assert sync.error_code is None
    assert_exactly_once(fake, invoice_id, 3494, 2)


async def test_being_limited_costs_no_attempt(
    connected: Runtime, fake: FakeStripe, clock: Clock
) -> None:
    invoice_id = await an_issued_invoice(connected)
    fake.world.chaos.turn_on(Fault.RATE_LIMIT, Switch(calls=3))
    for _ in range(3):
        await push_due(connected)
        clock.advance(timedelta(seconds=5))

    sync = await sync_of(connected, invoice_id)
    assert (sync.attempts, sync.error_code) == (0, "STRIPE_RATE_LIMITED")


async def test_stripe_gets_no_usage_and_no_name_but_the_customers(
    connected: Runtime, fake: FakeStripe
) -> None:
    await an_issued_invoice(connected)
    await push_due(connected)

    (invoice,) = held(fake)
    assert set(invoice.metadata) == {"invoice_id", "rev", "number", "total_minor"}
    assert all(set(line.metadata) == {"line_id", "kind"} for line in invoice.lines)
