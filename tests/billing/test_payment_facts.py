"""What Stripe says of an invoice's money is shown beside its status, and moves none of ours."""

import zlib
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from billing.ids import InvoiceId
from billing.models import Invoice, InvoiceStatus, InvoiceSync, PaymentFacts
from billing.payments import find_facts
from billing.runtime import Runtime
from billing.stripe_events import handle_due
from sandbox.stripe.app import FakeStripe
from sandbox.stripe.dashboard import CloseDispute, DisputeInvoice, RefundInvoice, perform
from sandbox.stripe.records import Event
from tests.billing.test_stripe_events import a_pushed_invoice, hear, outcomes, told
from tests.world import Clock


async def facts_of(runtime: Runtime, invoice_id: InvoiceId) -> PaymentFacts:
    async with runtime.sessions() as session:
        facts = await find_facts(session, invoice_id)
    assert facts is not None
    return facts


async def paid_invoice(runtime: Runtime, fake: FakeStripe, clock: Clock) -> tuple[InvoiceId, str]:
    invoice_id, stripe_id = await a_pushed_invoice(runtime)
    await fake.run_due(clock.advance(timedelta(minutes=1)))
    await hear(runtime, told("invoice.paid", stripe_id))
    await handle_due(runtime)
    return invoice_id, stripe_id


async def test_what_was_paid_is_known(connected: Runtime, fake: FakeStripe, clock: Clock) -> None:
    invoice_id, _ = await paid_invoice(connected, fake, clock)
    facts = await facts_of(connected, invoice_id)

    assert (facts.amount_paid_minor, facts.paid_off_stripe_minor) == (3494, 0)
    assert (facts.refunded_minor, facts.disputed_minor, facts.dispute_status) == (0, 0, None)


async def test_paid_out_of_band_is_paid_and_says_so(
    connected: Runtime, fake: FakeStripe, clock: Clock
) -> None:
    invoice_id, stripe_id = await a_pushed_invoice(connected)
    client = connected.stripe.client  # type: ignore[attr-defined] # somebody in the Dashboard
    await client.v1.invoices.pay_async(stripe_id, {"paid_out_of_band": True})
    await hear(connected, told("invoice.paid", stripe_id))
    await handle_due(connected)

    facts = await facts_of(connected, invoice_id)
    assert facts.paid_off_stripe_minor == facts.amount_paid_minor == 3494
    async with connected.sessions() as session:
        invoice = await session.get_one(Invoice, invoice_id)
    assert (invoice.status, invoice.total_minor) == (InvoiceStatus.PAID, 3494)


async def test_a_credit_note_of_somebody_else_is_a_fact_and_no_status(
    connected: Runtime, fake: FakeStripe, clock: Clock
) -> None:
    invoice_id, stripe_id = await paid_invoice(connected, fake, clock)
    client = connected.stripe.client  # type: ignore[attr-defined] # somebody in the Dashboard
    note = await client.v1.credit_notes.create_async(
        {"invoice": stripe_id, "amount": 500, "refund_amount": 500}
    )
    await hear(connected, told("credit_note.created", note.id))
    await handle_due(connected)

    facts = await facts_of(connected, invoice_id)
    assert facts.credited_after_minor == 500
    async with connected.sessions() as session:
        invoice = await session.get_one(Invoice, invoice_id)
        sync = await session.get_one(InvoiceSync, invoice_id)
    assert (invoice.status, invoice.total_minor) == (InvoiceStatus.PAID, 3494)
    assert sync.error_code is None


@pytest.mark.parametrize(
    "type_", ["charge.refunded", "refund.created", "charge.dispute.created", "credit_note.created"]
)
async def test_money_of_nobodys_invoice_is_ignored(
    connected: Runtime, fake: FakeStripe, type_: str
) -> None:
    await hear(connected, told(type_, "xx_of_nobody"))
    await handle_due(connected)

    ((outcome, reason),) = await outcomes(connected)
    assert (outcome, reason) == ("IGNORED", "not about an invoice")


async def hear_of(runtime: Runtime, fake: FakeStripe, *types: str) -> None:
    """What Stripe made of these kinds, as thin events: nothing in them but an id."""
    thin = [
        {
            "object": "v2.core.event",
            "id": event.id,
            "type": f"v1.{event.type}",
            "livemode": False,
            "related_object": {"id": event_body(event)["data"]["object"]["id"]},
        }
        for event in fake.world.events
        if event.type in types
    ]
    assert thin
    await hear(runtime, *thin)
    await handle_due(runtime)


def event_body(event: Event) -> dict[str, Any]:
    body: dict[str, Any] = msgspec.json.decode(zlib.decompress(event.data))
    return {"data": body}


@pytest.mark.parametrize("types", [("refund.created",), ("charge.refunded",)])
async def test_a_refund_leaves_it_paid_and_is_told(
    connected: Runtime, fake: FakeStripe, clock: Clock, types: tuple[str, ...]
) -> None:
    invoice_id, stripe_id = await paid_invoice(connected, fake, clock)
    perform(fake.world, RefundInvoice(stripe_id, 1000), int(clock.at.timestamp()))
    await hear_of(connected, fake, *types)

    facts = await facts_of(connected, invoice_id)
    assert (facts.refunded_minor, facts.amount_paid_minor) == (1000, 3494)
    async with connected.sessions() as session:
        invoice = await session.get_one(Invoice, invoice_id)
    assert (invoice.status, invoice.total_minor) == (InvoiceStatus.PAID, 3494)


@pytest.mark.parametrize(("won", "status", "gone"), [(True, "won", 0), (False, "lost", 3494)])
async def test_a_dispute_is_told_until_it_is_won(
    connected: Runtime, fake: FakeStripe, clock: Clock, won: bool, status: str, gone: int
) -> None:
    invoice_id, stripe_id = await paid_invoice(connected, fake, clock)
    perform(fake.world, DisputeInvoice(stripe_id), int(clock.at.timestamp()))
    await hear_of(connected, fake, "charge.dispute.created")
    facts = await facts_of(connected, invoice_id)
    assert (facts.disputed_minor, facts.dispute_status) == (3494, "needs_response")

    (dispute,) = fake.world.disputes
    perform(fake.world, CloseDispute(dispute.id, won), int(clock.at.timestamp()))
    await hear_of(connected, fake, "charge.dispute.closed")
    facts = await facts_of(connected, invoice_id)
    assert (facts.disputed_minor, facts.dispute_status) == (gone, status)
    async with connected.sessions() as session:
        assert (await session.get_one(Invoice, invoice_id)).status is InvoiceStatus.PAID
