"""What Stripe says of an invoice's money is shown beside its status, and moves none of ours."""

from datetime import timedelta

import pytest

from billing.ids import InvoiceId
from billing.models import Invoice, InvoiceStatus, InvoiceSync, PaymentFacts
from billing.payments import find_facts
from billing.runtime import Runtime
from billing.stripe_events import handle_due
from sandbox.stripe.app import FakeStripe
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
