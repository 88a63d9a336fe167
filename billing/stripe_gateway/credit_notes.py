"""Credit notes at Stripe."""

from dataclasses import dataclass

import stripe

from billing.ids import StripeCreditNoteId
from billing.stripe_gateway.errors import translated_errors
from billing.stripe_protocol import PushCreditNote
from billing.stripe_wire import PAGE_SIZE


@dataclass(frozen=True)
class CreditNotes:
    """What reduces an open invoice or refunds a paid one."""

    client: stripe.StripeClient

    async def create_credit_note(self, note: PushCreditNote, key: str) -> StripeCreditNoteId:
        """Of a paid invoice the amount is refunded; of an open one less is due."""
        wanted: stripe.params.CreditNoteCreateParams = {
            "invoice": note.stripe_invoice_id,
            "amount": note.amount_minor,
            "memo": f"{note.number}: {note.reason}",
            "metadata": {"credit_note_id": str(note.id), "number": note.number},
        }
        if note.is_refund:
            wanted["refund_amount"] = note.amount_minor
        with translated_errors():
            created = await self.client.v1.credit_notes.create_async(
                wanted, {"idempotency_key": key}
            )
        return StripeCreditNoteId(created.id)

    async def find_credit_note(self, note: PushCreditNote) -> StripeCreditNoteId | None:
        """By list, which is consistent at once; None also where it was voided again."""
        with translated_errors():
            pages = await self.client.v1.credit_notes.list_async(
                {"invoice": note.stripe_invoice_id, "limit": PAGE_SIZE}
            )
            found = [one.to_dict() async for one in pages.auto_paging_iter()]
        ours = [
            StripeCreditNoteId(one["id"])
            for one in found
            if one["metadata"].get("credit_note_id") == str(note.id) and one["status"] != "void"
        ]
        return ours[-1] if ours else None
