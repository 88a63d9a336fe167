"""Doubts that once ended in two invoices, in doubled lines, or with no way out."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import cast

import pytest
from sqlalchemy import update

from billing.errors import Unavailable
from billing.ids import InvoiceId
from billing.invoice_sync import push_due, retry_push
from billing.models import Invoice, InvoiceSync, SyncState
from billing.runtime import Runtime
from billing.stripe_protocol import Stripe, StripeInvoice
from sandbox.stripe.app import FakeStripe
from sandbox.stripe.chaos import Fault, Switch
from tests.billing.pushing import (
    FINALIZE,
    an_issued_invoice,
    assert_exactly_once,
    held,
    sync_of,
    until_pushed,
)
from tests.world import Clock


class Between:
    """Stripe with a word of ours before or after one of its calls."""

    def __init__(self, inner: Stripe, name: str, act: Callable[..., object]) -> None:
        self._inner, self._name, self._act = inner, name, act

    def __getattr__(self, name: str) -> object:
        call = getattr(self._inner, name)
        if name != self._name:
            return call

        async def acted(*args: object) -> object:
            return await self._act(call, *args)  # type: ignore[misc] # awaitable

        return acted


def through(runtime: Runtime, name: str, act: Callable[..., object]) -> Runtime:
    return replace(runtime, stripe=cast(Stripe, Between(runtime.stripe, name, act)))


async def retry(runtime: Runtime, clock: Clock, invoice_id: InvoiceId) -> None:
    async with runtime.sessions.begin() as session:
        invoice = await session.get_one(Invoice, invoice_id)
        await retry_push(session, str(invoice.number), actor="cli", now=clock.at)


async def test_a_worker_whose_lease_ran_out_writes_nothing_more(
    connected: Runtime, fake: FakeStripe, clock: Clock
) -> None:
    invoice_id = await an_issued_invoice(connected)
    answered, released = asyncio.Event(), asyncio.Event()

    async def slowly(call: Callable[..., object], *args: object) -> StripeInvoice:
        answer: StripeInvoice = await call(*args)  # type: ignore[misc] # awaitable
        answered.set()
        await released.wait()
        return answer

    slow = asyncio.create_task(push_due(through(connected, "create_invoice", slowly)))
    await answered.wait()
    clock.advance(timedelta(hours=25))
    await until_pushed(connected, clock, invoice_id)
    released.set()
    await slow

    assert_exactly_once(fake, invoice_id, 3494, 2)


async def test_a_busy_key_is_waited_for_and_is_no_failure(
    connected: Runtime, fake: FakeStripe, clock: Clock
) -> None:
    invoice_id = await an_issued_invoice(connected)
    async with connected.sessions.begin() as session:
        await session.execute(update(InvoiceSync).values(attempts=5))
    busy = Unavailable("busy", code="STRIPE_BUSY", is_rate_limit=True)

    async def refuse(call: Callable[..., object], *args: object) -> object:
        raise busy

    await push_due(through(connected, "create_invoice", refuse))
    sync = await sync_of(connected, invoice_id)
    assert (sync.attempts, sync.is_in_doubt, sync.key_attempt) == (5, False, 0)
    await until_pushed(connected, clock, invoice_id)

    assert_exactly_once(fake, invoice_id, 3494, 2)


@pytest.mark.parametrize("arrives", [False, True], ids=["request-lost", "answer-lost"])
async def test_lines_left_over_by_a_doubt_are_neither_doubled_nor_stuck(
    connected: Runtime, fake: FakeStripe, clock: Clock, arrives: bool
) -> None:
    invoice_id = await an_issued_invoice(connected, *[100] * 150)
    failures = {2: "STRIPE_DOWN", 4: "STRIPE_DOWN", 5: "STRIPE_UNREACHABLE"}
    calls = 0

    async def fail(call: Callable[..., object], *args: object) -> object:
        nonlocal calls
        calls += 1
        if calls == 5 and arrives:
            await call(*args)  # type: ignore[misc] # awaitable
        if calls in failures:
            raise Unavailable("lost", code=failures[calls])
        return await call(*args)  # type: ignore[misc] # awaitable

    await until_pushed(through(connected, "add_lines", fail), clock, invoice_id)

    assert_exactly_once(fake, invoice_id, 15000, 150)


async def test_a_failure_saved_for_the_customer_does_not_stop_for_a_day(
    connected: Runtime, fake: FakeStripe, clock: Clock
) -> None:
    invoice_id = await an_issued_invoice(connected)
    fault = Switch(operation="POST /v1/customers", calls=1)
    fake.world.chaos.turn_on(Fault.ERROR_AFTER_COMMIT, fault)
    await until_pushed(connected, clock, invoice_id)

    assert_exactly_once(fake, invoice_id, 3494, 2)
    assert len(list(fake.world.customers)) == 1


async def test_a_draft_deleted_by_hand_is_made_anew(
    connected: Runtime, fake: FakeStripe, clock: Clock
) -> None:
    invoice_id = await an_issued_invoice(connected)
    fake.world.chaos.turn_on(Fault.DOWN, Switch(operation=FINALIZE, calls=1))
    await push_due(connected)
    (draft,) = held(fake)
    draft.deleted = True
    clock.advance(timedelta(minutes=5))
    await push_due(connected)
    assert (await sync_of(connected, invoice_id)).state is SyncState.HELD

    await retry(connected, clock, invoice_id)
    await push_due(connected)

    assert (await sync_of(connected, invoice_id)).state is SyncState.PUSHED
    assert [x.status for x in held(fake) if not x.deleted] == ["open"]


async def test_one_that_trips_over_a_fault_of_ours_stops_nobody_else(
    connected: Runtime, fake: FakeStripe
) -> None:
    bad, *good = [await an_issued_invoice(connected) for _ in range(4)]

    async def trip(call: Callable[..., object], invoice: object, *args: object) -> object:
        if getattr(invoice, "id", None) == bad:
            raise KeyError("a fault of ours")
        return await call(invoice, *args)  # type: ignore[misc] # awaitable

    await push_due(through(connected, "create_invoice", trip))

    for invoice_id in good:
        assert_exactly_once(fake, invoice_id, 3494, 2)
    waiting = await sync_of(connected, bad)
    assert (waiting.error_code, waiting.attempts) == ("INTERNAL", 1)


async def test_what_was_sent_before_must_be_what_is_owed_now(
    connected: Runtime, fake: FakeStripe
) -> None:
    invoice_id = await an_issued_invoice(connected)
    async with connected.sessions.begin() as session:
        await session.execute(update(InvoiceSync).values(payload_sha256=b"of something else"))
    await push_due(connected)

    assert (await sync_of(connected, invoice_id)).state is SyncState.HELD
    assert held(fake) == []
