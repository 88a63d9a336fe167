"""Voiding an invoice: what Stripe holds of it goes first, then it is withdrawn here.

The invoice is claimed as a push claims it, so none runs meanwhile and a worker that had it can
write nothing more. Cut off anywhere, nothing is half done: voiding again finds what is left to do,
and so does Stripe's own word of it.
"""

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from billing.audit import record_act
from billing.charges import withdraw
from billing.errors import BillingError, Conflict, Invalid, NotFound, Unavailable
from billing.ids import InvoiceId
from billing.invoice_sync import LEASE, is_in_doubt
from billing.models import (
    CreditNote,
    Invoice,
    InvoiceStatus,
    InvoiceSync,
    Organization,
    SyncState,
)
from billing.rules.invoicing import Settlement
from billing.runtime import Runtime
from billing.stripe_protocol import Customer
from billing.voiding.in_stripe import PaidInvoice, Removal, VoidRefused, remove

__all__ = ["BeingPushed", "HasCreditNotes", "PaidInvoice", "VoidRefused", "void_invoice"]

REASON_CHARACTERS_MAX = 500


class HasCreditNotes(Conflict):
    """Voiding would lose what has been credited already."""

    code = "HAS_CREDIT_NOTES"


class BeingPushed(Unavailable):
    """A worker is sending it this very moment."""

    code = "INVOICE_BEING_PUSHED"


class ChangedMeanwhile(Conflict):
    """Somebody else took it over: nothing has happened here, and trying again helps."""

    code = "CHANGED_MEANWHILE"


@dataclass(frozen=True, slots=True)
class _Claim:
    """What was claimed, and when it was due before; no `removal`: Stripe has never heard of it."""

    invoice_id: InvoiceId
    number: int
    due_at: datetime
    removal: Removal | None


async def void_invoice(
    runtime: Runtime, org: Organization, number: str, *, reason: str, actor: str
) -> Invoice:
    """Withdraw an issued invoice that nobody has paid; one that is void already is answered as is.

    `reason` is shown on the invoice. Raises `NotFound`, `Invalid`, `PaidInvoice`, `HasCreditNotes`,
    `VoidRefused`, `ChangedMeanwhile`, `BeingPushed`, or `Unavailable` while Stripe is: then nothing
    has changed, and trying again is safe.
    """
    _check_reason(reason)
    now = await runtime.now()
    async with runtime.sessions.begin() as session:
        claim = await _claim(session, org, number, now)
    if claim is not None:
        if claim.removal is not None:
            await _remove(runtime, claim, claim.removal)
        async with runtime.sessions.begin() as session:
            await _withdraw(session, claim, reason.strip(), actor, await runtime.now())
        await runtime.nudges.moved([org.id])
    async with runtime.sessions() as session:
        return await _invoice(session, org, number)


def _check_reason(reason: str) -> None:
    if not reason.strip() or len(reason) > REASON_CHARACTERS_MAX:
        raise Invalid(
            f"Say why, in 1 to {REASON_CHARACTERS_MAX} characters: the customer reads it.",
            code="INVALID_REASON",
            field="reason",
        )


async def _invoice(session: AsyncSession, org: Organization, number: str) -> Invoice:
    invoice = await session.scalar(
        select(Invoice)
        .where(Invoice.org_id == org.id, Invoice.number == number)
        .options(selectinload(Invoice.sync))
    )
    if invoice is None:
        raise NotFound("There is no such invoice.", code="INVOICE_NOT_FOUND", field="number")
    return invoice


async def _claim(
    session: AsyncSession, org: Organization, number: str, now: datetime
) -> _Claim | None:
    """Have the invoice to ourselves for a lease; None when it is void already."""
    found = await _invoice(session, org, number)
    sync = await session.get_one(
        InvoiceSync, found.id, with_for_update=True, populate_existing=True
    )
    invoice = await session.get_one(Invoice, found.id, with_for_update=True, populate_existing=True)
    if invoice.status is InvoiceStatus.VOID:
        return None
    await _check_voidable(session, invoice)
    if sync.state is SyncState.PUSHING and sync.next_attempt_at > now:
        raise BeingPushed(
            f"{number} is being sent to Stripe: try again in a moment.",
            retry_after=sync.next_attempt_at - now,
        )
    removal = _removal(org, invoice, sync, now)
    claim = _Claim(invoice.id, sync.claim + 1, sync.next_attempt_at, removal)
    sync.claim = claim.number
    if removal is not None:
        sync.next_attempt_at = now + LEASE
        sync.is_in_doubt = True  # if we are cut off, a push looks before it does anything
    return claim


async def _check_voidable(session: AsyncSession, invoice: Invoice) -> None:
    """What settled itself was paid by nobody: Stripe never had it, and it can be voided."""
    if invoice.status is InvoiceStatus.PAID and invoice.settled_by is not Settlement.NOTHING_DUE:
        raise PaidInvoice(str(invoice.number))
    credited = select(CreditNote.id).where(CreditNote.invoice_id == invoice.id)
    if await session.scalar(select(credited.exists())):
        raise HasCreditNotes(
            f"{invoice.number} has credit notes, which voiding would lose: credit the rest of it"
            " by another one.",
            field="number",
        )


def _removal(
    org: Organization, invoice: Invoice, sync: InvoiceSync, now: datetime
) -> Removal | None:
    assert invoice.issued_at is not None, invoice.number
    doubt = is_in_doubt(sync, invoice.issued_at, now)
    is_unknown = sync.stripe_invoice_id is None and sync.keyed_at is None and not doubt
    if sync.state is SyncState.NOT_NEEDED or is_unknown:
        return None
    again = f"-a{sync.key_attempt}" if sync.key_attempt else ""
    customer = Customer(organization_id=str(org.id), name=org.name, email=org.billing_email)
    return Removal(
        invoice_id=invoice.id,
        number=str(invoice.number),
        issued_at=invoice.issued_at,
        stripe_id=sync.stripe_invoice_id,
        customer=org.stripe_customer_id or customer,
        key=f"inv-{invoice.id}-r{sync.revision}-void{again}",
    )


async def _remove(runtime: Runtime, claim: _Claim, removal: Removal) -> None:
    try:
        await remove(runtime, removal)
    except BillingError:
        with suppress(ChangedMeanwhile):
            async with runtime.sessions.begin() as session:
                sync = await _held(session, claim)
                sync.next_attempt_at = claim.due_at
                sync.key_attempt += 1
        raise


async def _held(session: AsyncSession, claim: _Claim) -> InvoiceSync:
    sync = await session.get_one(
        InvoiceSync, claim.invoice_id, with_for_update=True, populate_existing=True
    )
    if sync.claim != claim.number:
        raise ChangedMeanwhile("Somebody else has taken this invoice over: try again.")
    return sync


async def _withdraw(
    session: AsyncSession, claim: _Claim, reason: str, actor: str, now: datetime
) -> None:
    sync = await _held(session, claim)
    invoice = await session.get_one(
        Invoice, claim.invoice_id, with_for_update=True, populate_existing=True
    )
    was = invoice.status
    await withdraw(session, invoice, now, reason=reason)
    invoice.void_reason = reason  # Stripe's own word may have come first, and names none
    if sync.state is not SyncState.PUSHED:
        sync.state = SyncState.NOT_NEEDED
    sync.error_code = sync.error_message = sync.next_payment_at = None
    sync.fetch_tickets += 1
    sync.applied_ticket = sync.fetch_tickets  # what was fetched before this is old
    await record_act(
        session,
        actor=actor,
        action="invoice.voided",
        subject=str(invoice.number),
        org_id=invoice.org_id,
        details={"was": was, "reason": reason, "total_minor": invoice.total_minor},
        now=now,
    )
