"""What Stripe gets of an invoice: built from frozen rows alone, so a repeat is byte-identical."""

import hashlib

import msgspec

from billing.invoice_sync.rollup import push_lines
from billing.models import Invoice
from billing.stripe_protocol import PushInvoice


def push_payload(invoice: Invoice, revision: int, page_url: str) -> PushInvoice:
    """The invoice as Stripe gets it: whole amounts, in line order, nothing that moves.

    `page_url` is where our own page of it is, for what is too long for Stripe.
    """
    assert invoice.number is not None, "only issued invoices are pushed"
    assert invoice.issued_at is not None, invoice.number
    return PushInvoice(
        id=invoice.id,
        revision=revision,
        number=invoice.number,
        currency=invoice.currency,
        total_minor=invoice.total_minor,
        issued_at=invoice.issued_at,
        lines=push_lines(invoice.lines, page_url),
    )


def payload_sha256(payload: PushInvoice) -> bytes:
    """Of what is owed: it must be the same at every attempt, whatever we come to send besides."""
    owed = [
        payload.number,
        payload.currency,
        payload.total_minor,
        [(line.line_id, line.amount_minor) for line in payload.lines],
    ]
    return hashlib.sha256(msgspec.json.encode(owed)).digest()
