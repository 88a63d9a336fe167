"""Writing what a fetch found: Stripe wins on status, never on money."""

import logging
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from billing.charges import withdraw
from billing.ids import InvoiceId, OrgId
from billing.models import Invoice, InvoiceStatus, InvoiceSync, SyncState
from billing.payments import write_facts
from billing.rules.invoicing import Settlement
from billing.stripe_protocol import MoneyBack, StripeInvoice

log = logging.getLogger(__name__)

_STATUS = {
    "open": InvoiceStatus.OPEN,
    "paid": InvoiceStatus.PAID,
    "void": InvoiceStatus.VOID,
    "uncollectible": InvoiceStatus.UNCOLLECTIBLE,
}


async def apply_stripe_state(
    session: AsyncSession,
    invoice_id: InvoiceId,
    found: StripeInvoice,
    ticket: int,
    now: datetime,
    back: MoneyBack | None = None,
) -> OrgId:
    """Write what a fetch found, unless a later fetch has been written. Stripe wins on status.

    `back` is what was refunded and disputed, where that was asked too.

    A total that is not ours is recorded as an error for a person: money is never adopted.
    """
    sync = await session.get_one(InvoiceSync, invoice_id, with_for_update=True)
    invoice = await session.get_one(Invoice, invoice_id, with_for_update=True)
    if ticket <= sync.applied_ticket:
        return invoice.org_id
    sync.applied_ticket = ticket
    sync.fetched_at = now
    sync.stripe_status = found.status
    sync.hosted_invoice_url = found.hosted_invoice_url
    sync.payment_attempts = found.attempt_count
    sync.next_payment_at = found.next_payment_at
    if found.status in _STATUS:
        await write_facts(session, invoice_id, found, back, now)
        await _apply_status(session, invoice, sync, found, now)
        _check_total(invoice, sync, found)
    return invoice.org_id


async def _apply_status(
    session: AsyncSession,
    invoice: Invoice,
    sync: InvoiceSync,
    found: StripeInvoice,
    now: datetime,
) -> None:
    """VOID is for good: what such an invoice used up has been given back, here or on Stripe's word.

    What our credit notes have paid for is paid, though Stripe may not have heard of them yet.
    """
    if found.status == "void":
        await withdraw(session, invoice, now, voided_at=found.voided_at)
        if sync.state is not SyncState.PUSHED:  # a push would not find it, and make another
            sync.state = SyncState.NOT_NEEDED
    elif invoice.status is InvoiceStatus.VOID:
        _stop(invoice, sync, f"It is void here, and {found.status} in Stripe.")
    elif invoice.settled_by is not Settlement.CREDIT_NOTE or found.status != "open":
        invoice.status = _STATUS[found.status]
        invoice.paid_at = found.paid_at


def _check_total(invoice: Invoice, sync: InvoiceSync, found: StripeInvoice) -> None:
    """Credit notes change what is due, and no total: neither Stripe's nor ours."""
    if found.total_minor != invoice.total_minor:
        _stop(invoice, sync, f"Stripe's total is {found.total_minor}, ours {invoice.total_minor}.")


def _stop(invoice: Invoice, sync: InvoiceSync, message: str) -> None:
    sync.state = SyncState.HELD
    sync.error_code, sync.error_message = "STRIPE_MISMATCH", message
    log.error("invoice %s: %s", invoice.number, message)
