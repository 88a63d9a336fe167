import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from itertools import count
from typing import cast

from sqlalchemy import func, select, update

from billing.ids import InvoiceId
from billing.invoice_sync import push_due
from billing.models import (
    Invoice,
    InvoiceStatus,
    InvoiceSync,
    Outcome,
    StripeEvent,
    SyncState,
)
from billing.runtime import Runtime
from billing.stripe_events import ATTEMPTS_MAX, handle_due, receive
from billing.stripe_protocol import Stripe, StripeInvoice
from sandbox.stripe.app import FakeStripe
from sandbox.stripe.chaos import Fault, Switch
from sandbox.stripe.records import Card
from tests.billing.pushing import an_issued_invoice
from tests.world import Clock

_numbers = count(1)
FETCH = "GET /v1/invoices/{invoice}"


async def a_pushed_invoice(runtime: Runtime) -> tuple[InvoiceId, str]:
    invoice_id = await an_issued_invoice(runtime)
    await push_due(runtime)
    async with runtime.sessions() as session:
        sync = await session.get_one(InvoiceSync, invoice_id)
    assert sync.stripe_invoice_id is not None
    return invoice_id, sync.stripe_invoice_id


def told(type_: str, object_id: str, **changes: object) -> dict[str, object]:
    """A snapshot event, which lies about everything but the id of its object."""
    about = {"id": object_id, "object": "invoice", "status": "draft", "total": 1, "metadata": {}}
    return {
        "object": "event",
        "id": f"evt_{next(_numbers)}",
        "type": type_,
        "created": 1_790_000_000,
        "livemode": False,
        "api_version": "2026-10-28.endive",
        "data": {"object": about},
        **changes,
    }


async def hear(runtime: Runtime, *events: Mapping[str, object]) -> None:
    async with runtime.sessions.begin() as session:
        for event in events:
            await receive(session, event, await runtime.now())


async def local(runtime: Runtime, invoice_id: InvoiceId) -> Invoice:
    async with runtime.sessions() as session:
        return await session.get_one(Invoice, invoice_id)


async def outcomes(runtime: Runtime) -> list[tuple[Outcome | None, str | None]]:
    async with runtime.sessions() as session:
        rows = await session.scalars(select(StripeEvent).order_by(StripeEvent.received_at))
        return [(row.outcome, row.reason) for row in rows]


async def pay(fake: FakeStripe, clock: Clock) -> None:
    await fake.run_due(clock.advance(timedelta(minutes=1)))


TYPES = ("invoice.created", "invoice.finalized", "invoice.updated", "invoice.paid")


async def test_an_event_is_counted_once_however_often_it_comes(connected: Runtime) -> None:
    event = told("invoice.paid", "in_1")
    await hear(connected, event)
    await hear(connected, event, event)

    async with connected.sessions() as session:
        assert await session.scalar(select(func.count()).select_from(StripeEvent)) == 1


async def test_one_fetch_answers_all_that_is_waiting(
    connected: Runtime, fake: FakeStripe, clock: Clock
) -> None:
    _, stripe_id = await a_pushed_invoice(connected)
    await pay(fake, clock)
    await hear(connected, *(told(type_, stripe_id) for type_ in TYPES))
    fake.world.calls.clear()
    await handle_due(connected)

    assert fake.world.calls[FETCH] == 1
    assert await outcomes(connected) == [(Outcome.PROCESSED, "fetched: paid")] * len(TYPES)


async def test_a_declined_card_leaves_it_open_and_says_when_it_is_tried_again(
    connected: Runtime, fake: FakeStripe, clock: Clock
) -> None:
    fake.world.knobs.default_card = Card.DECLINE
    invoice_id, stripe_id = await a_pushed_invoice(connected)
    await pay(fake, clock)
    await hear(connected, told("invoice.payment_failed", stripe_id))
    await handle_due(connected)

    assert (await local(connected, invoice_id)).status is InvoiceStatus.OPEN
    async with connected.sessions() as session:
        sync = await session.get_one(InvoiceSync, invoice_id)
    assert sync.payment_attempts == 1
    assert sync.next_payment_at is not None


async def test_a_thin_event_is_as_good(connected: Runtime, fake: FakeStripe, clock: Clock) -> None:
    invoice_id, stripe_id = await a_pushed_invoice(connected)
    await pay(fake, clock)
    thin = {
        "object": "v2.core.event",
        "id": "evt_thin",
        "type": "v1.invoice.paid",
        "livemode": False,
        "related_object": {"id": stripe_id, "type": "invoice"},
    }
    await hear(connected, thin)
    await handle_due(connected)

    assert (await local(connected, invoice_id)).status is InvoiceStatus.PAID


async def test_a_webhook_may_be_faster_than_our_own_commit(
    connected: Runtime, fake: FakeStripe, clock: Clock
) -> None:
    invoice_id, stripe_id = await a_pushed_invoice(connected)
    await pay(fake, clock)
    async with connected.sessions.begin() as session:
        await session.execute(update(InvoiceSync).values(stripe_invoice_id=None))
    await hear(connected, told("invoice.paid", stripe_id))
    await handle_due(connected)

    assert (await local(connected, invoice_id)).status is InvoiceStatus.PAID


async def test_what_is_not_ours_is_ignored_with_its_reason(
    connected: Runtime, fake: FakeStripe
) -> None:
    await hear(
        connected,
        told("customer.updated", "cus_1"),
        told("invoice.paid", "in_of_nobody"),
        told("invoice.something_new", "in_of_nobody"),
    )
    await handle_due(connected)

    assert sorted(str(reason) for _, reason in await outcomes(connected)) == [
        "not about an invoice",
        "not an invoice of ours",
        "not an invoice of ours",
    ]


async def test_while_stripe_is_down_events_wait(
    connected: Runtime, fake: FakeStripe, clock: Clock
) -> None:
    invoice_id, stripe_id = await a_pushed_invoice(connected)
    await pay(fake, clock)
    fake.world.chaos.turn_on(Fault.DOWN, Switch(calls=1))
    await hear(connected, told("invoice.paid", stripe_id))
    await handle_due(connected)
    assert (await local(connected, invoice_id)).status is InvoiceStatus.OPEN

    clock.advance(timedelta(minutes=1))
    await handle_due(connected)
    assert (await local(connected, invoice_id)).status is InvoiceStatus.PAID


async def test_an_invoice_that_stripe_says_is_ours_but_is_not_fails_in_the_end(
    connected: Runtime, fake: FakeStripe, clock: Clock
) -> None:
    _, stripe_id = await a_pushed_invoice(connected)
    (record,) = fake.world.invoices
    record.metadata["invoice_id"] = "00000000-0000-7000-8000-000000000000"
    async with connected.sessions.begin() as session:
        await session.execute(update(InvoiceSync).values(stripe_invoice_id=None))
    await hear(connected, told("invoice.paid", stripe_id))
    for _ in range(ATTEMPTS_MAX):
        await handle_due(connected)
        clock.advance(timedelta(minutes=1))

    assert await outcomes(connected) == [
        (Outcome.FAILED, "carries an id of ours that we do not have")
    ]


async def test_money_is_never_adopted_from_stripe(
    connected: Runtime, fake: FakeStripe, clock: Clock
) -> None:
    invoice_id, stripe_id = await a_pushed_invoice(connected)
    (record,) = fake.world.invoices
    record.lines[0].amount += 100
    await hear(connected, told("invoice.updated", stripe_id))
    await handle_due(connected)

    assert (await local(connected, invoice_id)).total_minor == 3494
    async with connected.sessions() as session:
        sync = await session.get_one(InvoiceSync, invoice_id)
    assert (sync.state, sync.error_code) == (SyncState.HELD, "STRIPE_MISMATCH")


async def test_a_copy_that_carries_our_id_does_not_speak_for_ours(
    connected: Runtime, fake: FakeStripe, clock: Clock
) -> None:
    invoice_id, stripe_id = await a_pushed_invoice(connected)
    other_id, copy = await a_pushed_invoice(connected)
    for record in fake.world.invoices:
        record.metadata["invoice_id"] = str(invoice_id)
    async with connected.sessions.begin() as session:
        await session.execute(
            update(InvoiceSync)
            .where(InvoiceSync.invoice_id == other_id)
            .values(stripe_invoice_id=None)
        )
    await pay(fake, clock)
    await hear(connected, told("invoice.paid", copy))
    await handle_due(connected)

    assert (await local(connected, invoice_id)).status is InvoiceStatus.OPEN
    ((outcome, reason),) = await outcomes(connected)
    assert outcome is Outcome.FAILED
    assert reason == f"STRIPE_DUPLICATE: {copy} carries the id of {stripe_id}."


class Slow:
    """Stripe whose first answer is read at once, but arrives after everybody else's."""

    def __init__(self, inner: Stripe) -> None:
        self._inner = inner
        self.read = asyncio.Event()
        self.release = asyncio.Event()

    async def fetch_invoice(self, id_: str) -> StripeInvoice | None:
        answer = await self._inner.fetch_invoice(id_)  # type: ignore[arg-type] # any id
        self.read.set()
        await self.release.wait()
        return answer


async def test_an_old_answer_that_arrives_late_does_not_undo_a_newer_one(
    connected: Runtime, fake: FakeStripe, clock: Clock
) -> None:
    invoice_id, stripe_id = await a_pushed_invoice(connected)
    slow = Slow(connected.stripe)
    await hear(connected, told("invoice.finalized", stripe_id))
    behind = asyncio.create_task(handle_due(replace(connected, stripe=cast(Stripe, slow))))
    await slow.read.wait()
    await pay(fake, clock)
    await hear(connected, told("invoice.paid", stripe_id))
    await handle_due(connected)
    slow.release.set()
    await behind

    assert (await local(connected, invoice_id)).status is InvoiceStatus.PAID
