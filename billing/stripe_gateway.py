"""The one door to Stripe: the only product module that imports `stripe`.

Everything here waits on the network, so no caller may hold a transaction. Arguments are built from
immutable invoices, so a repeated call is byte-identical and its idempotency key replays.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

import httpx
import stripe

from billing.errors import BillingError, Invalid, Unavailable
from billing.ids import InvoiceId, StripeCreditNoteId, StripeCustomerId, StripeInvoiceId
from billing.settings import Settings
from billing.stripe_protocol import (
    Customer,
    PushCreditNote,
    PushInvoice,
    PushLine,
    Stripe,
    StripeInvoice,
)
from billing.stripe_wire import read_invoice, signed_at, unix

_TIMEOUT_SECONDS = 20
_PAGE_SIZE = 100
_RATE_LIMIT_PAUSE = timedelta(seconds=2)
_DOWN_PAUSE = timedelta(seconds=5)
_ALREADY_FINALIZED = "already finalized"


class StripeRefused(Invalid):
    """Stripe understood and said no: trying the same again cannot help."""

    code = "STRIPE_REFUSED"


@asynccontextmanager
async def open_stripe(settings: Settings) -> AsyncIterator[Stripe]:
    """The real gateway, on one pool of connections that is closed at the end."""
    http_client = stripe.HTTPXClient(timeout=_TIMEOUT_SECONDS)
    base = settings.stripe_api_base
    client = stripe.StripeClient(
        settings.stripe_api_key,
        base_addresses={"api": base} if base else {},
        max_network_retries=0,  # the queue retries, under one policy and the same keys
        http_client=http_client,
    )
    try:
        yield StripeGateway(client)
    finally:
        await http_client.close_async()  # type: ignore[no-untyped-call] # the SDK's gap


@dataclass(frozen=True, slots=True)
class StripeGateway:
    """`Stripe` over HTTP. Idempotency keys are the caller's; Stripe keeps them about 24 hours."""

    client: stripe.StripeClient

    async def create_customer(self, customer: Customer, key: str) -> StripeCustomerId:
        """Only what invoices and mails need, and our id to find it by."""
        with translated_errors():
            created = await self.client.v1.customers.create_async(
                {
                    "name": customer.name,
                    "email": customer.email,
                    "metadata": {"organization_id": customer.organization_id},
                },
                {"idempotency_key": key},
            )
        return StripeCustomerId(created.id)

    async def find_customer(self, customer: Customer) -> StripeCustomerId | None:
        """The oldest with our id, by its e-mail; by list, which is consistent at once."""
        with translated_errors():
            pages = await self.client.v1.customers.list_async(
                {"email": customer.email, "limit": _PAGE_SIZE}
            )
            found = [one.to_dict() async for one in pages.auto_paging_iter()]
        ours = [
            x for x in found if x["metadata"].get("organization_id") == customer.organization_id
        ]
        return StripeCustomerId(ours[-1]["id"]) if ours else None

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
                {"invoice": note.stripe_invoice_id, "limit": _PAGE_SIZE}
            )
            found = [one.to_dict() async for one in pages.auto_paging_iter()]
        ours = [
            StripeCreditNoteId(one["id"])
            for one in found
            if one["metadata"].get("credit_note_id") == str(note.id) and one["status"] != "void"
        ]
        return ours[-1] if ours else None

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
                {"customer": customer, "created": {"gte": unix(since)}, "limit": _PAGE_SIZE}
            )
            found = [read_invoice(one.to_dict()) async for one in pages.auto_paging_iter()]
        return [x for x in found if x.invoice_id == str(invoice_id) and x.status != "void"]

    async def line_ids(self, id_: StripeInvoiceId) -> set[str]:
        """Lines that somebody else added carry no id of ours and are left out."""
        with translated_errors():
            pages = await self.client.v1.invoices.line_items.list_async(id_, {"limit": _PAGE_SIZE})
            lines = [line.to_dict() async for line in pages.auto_paging_iter()]
        return {line["metadata"]["line_id"] for line in lines if "line_id" in line["metadata"]}


@contextmanager
def translated_errors() -> Iterator[None]:
    """Down is retried, refused is shown; anything else is our bug and flies on.

    Only Stripe's code, message and request id are kept: its exceptions carry whole bodies, with
    people's addresses in them.
    """
    try:
        yield
    except (stripe.APIConnectionError, httpx.HTTPError) as error:
        raise Unavailable(
            "Stripe cannot be reached.", code="STRIPE_UNREACHABLE", retry_after=_DOWN_PAUSE
        ) from error
    except stripe.StripeError as error:
        raise _translated(error) from None


def _translated(error: stripe.StripeError) -> BillingError:
    status = error.http_status or 0
    code = (error.error.code if error.error else None) or error.code
    text = f"{error.user_message or 'No reason given'} (request {error.request_id})"
    if status in {409, 429}:  # 409: another request is still at work under this very key
        return Unavailable(
            f"Stripe is {'busy' if status == 409 else 'limiting our rate'}: {text}",
            code="STRIPE_BUSY" if status == 409 else "STRIPE_RATE_LIMITED",
            retry_after=_RATE_LIMIT_PAUSE,
            is_rate_limit=True,
        )
    if isinstance(error, stripe.IdempotencyError):
        return Unavailable(
            f"Stripe knows this key with other arguments: {text}", code="STRIPE_KEY_REUSED"
        )
    if status >= 500:
        return Unavailable(f"Stripe failed: {text}", code="STRIPE_DOWN", retry_after=_DOWN_PAUSE)
    return StripeRefused(f"Stripe refused{f' ({code})' if code else ''}: {text}")


def verify_webhook(body: bytes, header: str, secrets: Sequence[str], now: datetime) -> None:
    """Raise `Invalid` unless one of `secrets` signed `body` within five minutes of `now`.

    The SDK compares with the machine's clock, so its own tolerance is off (None) and the age is
    checked by ours; several secrets are valid while one is being rolled.
    """
    timestamp = signed_at(header)
    if abs((now - timestamp).total_seconds()) > WEBHOOK_TOLERANCE_SECONDS:
        raise Invalid("The signature's timestamp is too old.", code="SIGNATURE_EXPIRED")
    text = body.decode(errors="replace")
    if not any(_is_signed(text, header, secret) for secret in secrets):
        raise Invalid("No secret of ours made this signature.", code="SIGNATURE_INVALID")


WEBHOOK_TOLERANCE_SECONDS = 300


def _is_signed(text: str, header: str, secret: str) -> bool:
    try:
        stripe.WebhookSignature.verify_header(text, header, secret, None)
    except (stripe.SignatureVerificationError, ValueError, TypeError):  # not even ASCII
        return False
    return True
