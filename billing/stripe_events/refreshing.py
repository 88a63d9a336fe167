"""Fetching one invoice from Stripe and writing what it says: the only way its word comes in.

A ticket is taken before the fetch, and a fetch is written only if none with a later ticket has
been: that one began after this event, so it knows at least as much. No lock is held meanwhile.
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy import select, update

from billing.errors import Conflict
from billing.ids import InvoiceId, StripeInvoiceId
from billing.models import Invoice, InvoiceStatus, InvoiceSync, Outcome
from billing.runtime import Runtime
from billing.stripe_events.applying import apply_stripe_state


class AnotherCarriesOurId(Conflict):
    """Two Stripe invoices name one of ours: only the one that we made may speak for it."""

    code = "STRIPE_DUPLICATE"


async def refresh(
    runtime: Runtime, stripe_id: StripeInvoiceId, now: datetime, *, with_money_back: bool = False
) -> tuple[Outcome, str]:
    """Fetch and write; answers what became of it, and why. `with_money_back`: refunds, disputes.

    Raises `Unavailable`, `StripeRefused`, `AnotherCarriesOurId`.
    """
    invoice_id = await find_ours(runtime, stripe_id)
    if invoice_id is None:
        found = await runtime.stripe.fetch_invoice(stripe_id)
        if found is None or found.invoice_id is None:
            return Outcome.IGNORED, "not an invoice of ours"
        invoice_id = await _adopted(runtime, found.invoice_id, stripe_id)
    if invoice_id is None:
        return Outcome.FAILED, "carries an id of ours that we do not have"
    ticket = await _ticket(runtime, invoice_id)
    found = await runtime.stripe.fetch_invoice(stripe_id)
    if found is None:
        return await _gone(runtime, invoice_id)
    back = await runtime.stripe.money_back(stripe_id) if with_money_back else None
    async with runtime.sessions.begin() as session:
        org_id = await apply_stripe_state(session, invoice_id, found, ticket, now, back)
    await runtime.nudges.moved([org_id])
    return Outcome.PROCESSED, f"fetched: {found.status}"


async def find_ours(runtime: Runtime, stripe_id: StripeInvoiceId) -> InvoiceId | None:
    """The invoice that we know by this id of Stripe's."""
    async with runtime.sessions() as session:
        return await session.scalar(
            select(InvoiceSync.invoice_id).where(InvoiceSync.stripe_invoice_id == stripe_id)
        )


async def _gone(runtime: Runtime, invoice_id: InvoiceId) -> tuple[Outcome, str]:
    async with runtime.sessions() as session:
        invoice = await session.get_one(Invoice, invoice_id)
    if invoice.status is InvoiceStatus.VOID:
        return Outcome.PROCESSED, "its draft was deleted, for it is void"
    return Outcome.FAILED, "Stripe no longer holds this invoice"


async def _adopted(runtime: Runtime, claimed: str, stripe_id: StripeInvoiceId) -> InvoiceId | None:
    """The invoice that Stripe's metadata names, when a webhook was faster than our own commit.

    Raises `AnotherCarriesOurId` when ours is known to be another one: a copy made by hand, say.
    """
    try:
        invoice_id = InvoiceId(UUID(claimed))
    except ValueError:
        return None
    async with runtime.sessions() as session:
        sync = await session.get(InvoiceSync, invoice_id)
    if sync is None:
        return None
    if sync.stripe_invoice_id not in {None, stripe_id}:
        raise AnotherCarriesOurId(f"{stripe_id} carries the id of {sync.stripe_invoice_id}.")
    return invoice_id


async def _ticket(runtime: Runtime, invoice_id: InvoiceId) -> int:
    async with runtime.sessions.begin() as session:
        ticket = await session.scalar(
            update(InvoiceSync)
            .where(InvoiceSync.invoice_id == invoice_id)
            .values(fetch_tickets=InvoiceSync.fetch_tickets + 1)
            .returning(InvoiceSync.fetch_tickets)
            .execution_options(synchronize_session=False)
        )
    assert ticket is not None, invoice_id
    return ticket
