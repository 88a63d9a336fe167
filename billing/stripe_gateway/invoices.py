"""Invoices at Stripe: pushed, looked for, withdrawn."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import stripe

from billing.ids import InvoiceId, StripeCustomerId, StripeInvoiceId
from billing.stripe_gateway.errors import StripeRefused, translated_errors
from billing.stripe_protocol import PushInvoice, PushLine, StripeInvoice
from billing.stripe_wire import PAGE_SIZE, read_invoice, unix

_ALREADY_FINALIZED = "already finalized"


@dataclass(frozen=True)
class Invoices:
    """Arguments are built from immutable invoices, so a repeated call is byte-identical."""

    client: stripe.StripeClient

    async def create_invoice(
        self, invoice: PushInvoice, customer: StripeCustomerId, key: str
    ) -> StripeInvoice:
        """`auto_advance` stays false: a crash before the lines must not issue an empty invoice."""
        with translated_errors():
            created = await self.client.v1.invoices.create_async(
                {
                    "customer": customer,
                    "currency": invoice.currency.lower(),
                    "auto_advance": False,
                    "collection_method": "charge_automatically",
                    "pending_invoice_items_behavior": "exclude",
                    "discounts": "",
                    "effective_at": unix(invoice.issued_at),
                    "custom_fields": [{"name": "Invoice", "value": invoice.number}],
                    "metadata": {
                        "invoice_id": str(invoice.id),
                        "rev": str(invoice.revision),
                        "number": invoice.number,
                        "total_minor": str(invoice.total_minor),
                    },
                },
                {"idempotency_key": key},
            )
        return read_invoice(created.to_dict())

    async def add_lines(
        self, id_: StripeInvoiceId, lines: Sequence[PushLine], key: str
    ) -> StripeInvoice:
        """Stripe's line periods include their end, ours do not: it gets the second before."""
        with translated_errors():
            updated = await self.client.v1.invoices.add_lines_async(
                id_,
                {
                    "lines": [
                        {
                            "amount": line.amount_minor,
                            "description": line.description,
                            "discountable": False,
                            "period": {"start": unix(line.start), "end": unix(line.end) - 1},
                            "metadata": {"line_id": line.line_id, "kind": line.kind},
                        }
                        for line in lines
                    ]
                },
                {"idempotency_key": key},
            )
        return read_invoice(updated.to_dict())

    async def finalize_invoice(self, id_: StripeInvoiceId, key: str) -> StripeInvoice:
        """From here on Stripe collects by itself, as the account is set up to."""
        try:
            with translated_errors():
                finalized = await self.client.v1.invoices.finalize_invoice_async(
                    id_, {"auto_advance": True}, {"idempotency_key": key}
                )
        except StripeRefused as refusal:
            if _ALREADY_FINALIZED not in str(refusal):
                raise
            found = await self.fetch_invoice(id_)
            if found is None:
                raise
            return found
        return read_invoice(finalized.to_dict())

    async def delete_draft(self, id_: StripeInvoiceId) -> None:
        """Needs no key: a draft that is gone already is what was wanted."""
        with translated_errors():
            try:
                await self.client.v1.invoices.delete_async(id_)
            except stripe.InvalidRequestError as error:
                if error.http_status != 404:
                    raise

    async def void_invoice(self, id_: StripeInvoiceId, key: str) -> StripeInvoice:
        """Open ones only; what Stripe says of an uncollectible one is to be seen."""
        with translated_errors():
            voided = await self.client.v1.invoices.void_invoice_async(
                id_, {}, {"idempotency_key": key}
            )
        return read_invoice(voided.to_dict())

    async def fetch_invoice(self, id_: StripeInvoiceId) -> StripeInvoice | None:
        """A deleted draft, too, is no such invoice."""
        with translated_errors():
            try:
                found = await self.client.v1.invoices.retrieve_async(id_)
            except stripe.InvalidRequestError as error:
                if error.http_status == 404:
                    return None
                raise
        body = found.to_dict()
        return None if body.get("deleted") else read_invoice(body)

    async def find_invoices(
        self, customer: StripeCustomerId, invoice_id: InvoiceId, since: datetime
    ) -> list[StripeInvoice]:
        """By list, which is consistent at once; Stripe's search may lag by a minute or an hour."""
        with translated_errors():
            pages = await self.client.v1.invoices.list_async(
                {"customer": customer, "created": {"gte": unix(since)}, "limit": PAGE_SIZE}
            )
            found = [read_invoice(one.to_dict()) async for one in pages.auto_paging_iter()]
        return [x for x in found if x.invoice_id == str(invoice_id) and x.status != "void"]

    async def line_ids(self, id_: StripeInvoiceId) -> set[str]:
        """Lines that somebody else added carry no id of ours and are left out."""
        with translated_errors():
            pages = await self.client.v1.invoices.line_items.list_async(id_, {"limit": PAGE_SIZE})
            lines = [line.to_dict() async for line in pages.auto_paging_iter()]
        return {line["metadata"]["line_id"] for line in lines if "line_id" in line["metadata"]}
