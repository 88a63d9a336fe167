"""Our values as Stripe writes them, and Stripe's bodies as our values: no SDK, no network."""

from datetime import UTC, datetime
from typing import Any

from billing.errors import Invalid
from billing.ids import StripeInvoiceId
from billing.stripe_protocol import StripeInvoice

PAGE_SIZE = 100
"""The most that Stripe lists at once."""


def read_invoice(body: dict[str, Any]) -> StripeInvoice:
    """An invoice object of the pinned API version."""
    moments = body["status_transitions"]
    return StripeInvoice(
        id=StripeInvoiceId(body["id"]),
        invoice_id=body["metadata"].get("invoice_id"),
        status=body["status"],
        currency=body["currency"],
        total_minor=body["total"],
        line_count=body["lines"].get("total_count"),
        attempt_count=body["attempt_count"],
        next_payment_at=_instant(body.get("next_payment_attempt")),
        paid_at=_instant(moments.get("paid_at")),
        voided_at=_instant(moments.get("voided_at")),
        hosted_invoice_url=body.get("hosted_invoice_url"),
    )


def unix(instant: datetime) -> int:
    """Whole seconds, Stripe's measure of time."""
    return int(instant.timestamp())


def _instant(seconds: int | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def signed_at(header: str) -> datetime:
    """When a webhook was signed, by its own word. Raises `Invalid`."""
    for part in header.split(","):
        name, _, value = part.partition("=")
        if name == "t" and value.isascii() and value.isdigit() and len(value) <= 11:
            return datetime.fromtimestamp(int(value), UTC)
    raise Invalid("The Stripe-Signature header has no timestamp.", code="SIGNATURE_INVALID")
