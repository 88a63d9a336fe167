"""Taking an issued invoice back: all that it had used up is free again, all it had moved returns.

Everything else is found by asking which invoices count: carried amounts, coupons, fees in advance
and what was billed of a maximum need no undoing.
"""

from datetime import datetime

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from billing.charges.issuing import restore_credits
from billing.models import (
    CreditNote,
    CreditNoteState,
    Invoice,
    InvoiceLine,
    InvoiceStatus,
    LateUsage,
    OneOffItem,
    Organization,
)
from billing.rules.lines import LineKind
from billing.rules.periods import utc_day


async def withdraw(
    session: AsyncSession,
    invoice: Invoice,
    now: datetime,
    *,
    reason: str | None = None,
    voided_at: datetime | None = None,
) -> None:
    """Make a locked invoice VOID, once: nothing happens to one that is.

    `reason` is None when Stripe told us. Whether anything of it is still in Stripe is the caller's
    business.
    """
    if invoice.status is InvoiceStatus.VOID:
        return
    invoice.status = InvoiceStatus.VOID
    invoice.voided_at = voided_at or now
    invoice.void_reason = reason
    invoice.paid_at = invoice.settled_by = None
    org = await session.get_one(
        Organization, invoice.org_id, with_for_update=True, populate_existing=True
    )
    org.subscription_changes += 1  # a close that has begun with this invoice must begin again
    await restore_credits(session, invoice, now)
    await session.execute(
        update(OneOffItem)
        .where(OneOffItem.org_id == invoice.org_id, OneOffItem.invoice_id == invoice.id)
        .values(invoice_id=None)
    )
    await session.execute(
        update(CreditNote)
        .where(CreditNote.invoice_id == invoice.id, CreditNote.state != CreditNoteState.SENT)
        .values(state=CreditNoteState.NOT_NEEDED)
    )
    await _find_corrections_again(session, invoice)
    await session.flush()


async def _find_corrections_again(session: AsyncSession, invoice: Invoice) -> None:
    """A note for each period that its true-ups had corrected, and that lacks them now."""
    starts = await session.scalars(
        select(InvoiceLine.span_start)
        .where(InvoiceLine.invoice_id == invoice.id, InvoiceLine.kind == LineKind.TRUE_UP)
        .distinct()
    )
    notes = [{"org_id": invoice.org_id, "day": utc_day(start)} for start in starts.all()]
    if notes:
        await session.execute(insert(LateUsage), notes)
