"""Credit notes, and what a fake Stripe holds of them."""

from decimal import Decimal

from sqlalchemy import select

from billing.credit_notes import (
    NewCreditNote,
    corrections_of,
    create_credit_note,
    push_credit_notes_due,
)
from billing.ids import InvoiceId
from billing.models import (
    CreditNote,
    CreditNoteKind,
    CreditNoteState,
)
from billing.runtime import Runtime
from billing.stripe_events import handle_due
from sandbox.stripe.app import FakeStripe
from sandbox.stripe.records import CreditNote as StripeNote
from tests.billing.test_stripe_events import a_pushed_invoice, hear, pay, told
from tests.billing.voiding import org_of, stored
from tests.world import Clock

CREATE_NOTE = "POST /v1/credit_notes"
REFUND, BALANCE = CreditNoteKind.REFUND, CreditNoteKind.BALANCE


async def credit(
    runtime: Runtime,
    invoice_id: InvoiceId,
    amount: str,
    key: str = "k1",
    *,
    kind: CreditNoteKind | None = None,
    reason: str = "Sorry",
) -> CreditNote:
    org, number = await org_of(runtime, invoice_id)
    wanted = NewCreditNote(Decimal(amount), reason, key, kind)
    async with runtime.sessions.begin() as session:
        return await create_credit_note(
            session, org, number, wanted, actor="test", now=await runtime.now()
        )


async def a_paid_invoice(runtime: Runtime, fake: FakeStripe, clock: Clock) -> InvoiceId:
    invoice_id, stripe_id = await a_pushed_invoice(runtime)
    await pay(fake, clock)
    await hear(runtime, told("invoice.paid", stripe_id))
    await handle_due(runtime)
    return invoice_id


async def heard(runtime: Runtime, stripe_id: str) -> None:
    await hear(runtime, told("invoice.updated", stripe_id))
    await handle_due(runtime)


async def note_of(runtime: Runtime, number: str) -> CreditNote:
    async with runtime.sessions() as session:
        note = await session.scalar(select(CreditNote).where(CreditNote.number == number))
    assert note is not None, number
    return note


async def due(runtime: Runtime, invoice_id: InvoiceId) -> int:
    invoice, _ = await stored(runtime, invoice_id)
    async with runtime.sessions() as session:
        return (await corrections_of(session, invoice)).amount_due(invoice).minor


def there(fake: FakeStripe) -> list[StripeNote]:
    return list(fake.world.credit_notes)


async def until_sent(runtime: Runtime, clock: Clock, number: str) -> CreditNote:
    for _ in range(30):
        await push_credit_notes_due(runtime)
        note = await note_of(runtime, number)
        if note.state is not CreditNoteState.PENDING:
            return note
        clock.at = max(clock.at, note.next_attempt_at)
    raise AssertionError(note.error_message)
