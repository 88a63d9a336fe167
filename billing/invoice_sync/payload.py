"""What Stripe gets of an invoice: built from frozen rows alone, so a repeat is byte-identical."""

import hashlib

import msgspec

from billing.models import Invoice
from billing.stripe_protocol import PushInvoice, PushLine


def push_payload(invoice: Invoice, revision: int) -> PushInvoice:
    """The invoice as Stripe gets it: whole amounts, in line order, nothing that moves."""
    assert invoice.number is not None, "only issued invoices are pushed"
    assert invoice.issued_at is not None, invoice.number
    return PushInvoice(
        id=invoice.id,
        revision=revision,
        number=invoice.number,
        currency=invoice.currency,
        total_minor=invoice.total_minor,
        issued_at=invoice.issued_at,
        lines=tuple(
            PushLine(
                line_id=str(line.id),
                kind=line.kind,
                amount_minor=line.amount_minor,
                description=line.description,
                start=line.span_start,
                end=line.span_end,
            )
            for line in invoice.lines
        ),
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
