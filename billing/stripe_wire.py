"""Our values as Stripe writes them, and Stripe's bodies as our values: no SDK, no network."""

import re
from datetime import UTC, datetime
from typing import Any

from billing.errors import Invalid
from billing.ids import StripeCustomerId, StripeInvoiceId
from billing.stripe_protocol import ListedInvoice, StripeInvoice

PAGE_SIZE = 100
"""The most that Stripe lists at once."""

API_VERSION = "2026-10-28.endive"
"""The version that the SDK pins, and that webhook endpoints are made with."""

_SECONDS = re.compile(r"[0-9]{1,11}")


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
        amount_paid_minor=body.get("amount_paid") or 0,
        paid_off_stripe_minor=body.get("amount_paid_off_stripe") or 0,
        credited_before_minor=body.get("pre_payment_credit_notes_amount") or 0,
        credited_after_minor=body.get("post_payment_credit_notes_amount") or 0,
        balance_minor=_balance_used(body),
    )


def _balance_used(body: dict[str, Any]) -> int:
    """What the customer's balance took part with: of an issued one what it moved, else what waits.

    Before finalization `ending_balance` is null.
    """
    starting = body.get("starting_balance") or 0
    ending = body.get("ending_balance")
    return starting if ending is None else starting - ending


def read_listed(body: dict[str, Any]) -> ListedInvoice:
    """An invoice of a list, with what a comparison needs besides."""
    moments = body["status_transitions"]
    moved = [moment for moment in moments.values() if moment is not None]
    created = body["created"]
    return ListedInvoice(
        invoice=read_invoice(body),
        customer=StripeCustomerId(body["customer"]),
        created_at=datetime.fromtimestamp(created, UTC),
        moved_at=datetime.fromtimestamp(max([created, *moved]), UTC),
    )


def unix(instant: datetime) -> int:
    """Whole seconds, Stripe's measure of time."""
    return int(instant.timestamp())


def _instant(seconds: int | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def signed_at(header: str) -> datetime:
    """When a webhook was signed, by its own word. Raises `Invalid`.

    Exactly one `t`, and plain digits: the SDK verifies the first that it reads, and reads more than
    we do (`t=+1`), so a second one would let an old signature pass for a new one.
    """
    told = [part[2:] for part in header.split(",") if part.startswith("t=")]
    if len(told) == 1 and _SECONDS.fullmatch(told[0]):
        return datetime.fromtimestamp(int(told[0]), UTC)
    raise Invalid("The Stripe-Signature header has no timestamp.", code="SIGNATURE_INVALID")
