"""Pages of Stripe's list, kept as they came: the database does the comparing."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from billing.models import ReconciliationRun, RunScope, StripeSnapshot
from billing.stripe_protocol import InvoicePage, ListedInvoice, ListQuery

_CLOCK_SLACK = timedelta(hours=1)
"""Stripe's clock is not ours: an invoice may be made there a little before it was issued here."""


def queries_of(run: ReconciliationRun) -> Sequence[ListQuery]:
    """The lists that a run reads, one after another."""
    start, end = run.window_start - _CLOCK_SLACK, run.window_end
    if run.scope is RunScope.UNSETTLED:
        return ListQuery(start, end, "open"), ListQuery(start, end, "draft")
    return (ListQuery(start, end),)


async def read_page(session: AsyncSession, run_id: UUID, page: InvoicePage) -> None:
    """Keep one page; again is fine."""
    if page.invoices:
        await session.execute(
            insert(StripeSnapshot).on_conflict_do_nothing(),
            [_row_of(run_id, listed) for listed in page.invoices],
        )


def _row_of(run_id: UUID, listed: ListedInvoice) -> dict[str, object]:
    invoice = listed.invoice
    return {
        "run_id": run_id,
        "stripe_invoice_id": invoice.id,
        "invoice_id": _uuid_of(invoice.invoice_id),
        "claimed_id": invoice.invoice_id,
        "customer": listed.customer,
        "status": invoice.status,
        "currency": invoice.currency,
        "total_minor": invoice.total_minor,
        "line_count": invoice.line_count,
        "amount_paid_minor": invoice.amount_paid_minor,
        "credited_before_minor": invoice.credited_before_minor,
        "credited_after_minor": invoice.credited_after_minor,
        "balance_minor": invoice.balance_minor,
        "created_at": listed.created_at,
        "moved_at": listed.moved_at,
    }


def _uuid_of(claimed: str | None) -> UUID | None:
    try:
        return None if claimed is None else UUID(claimed)
    except ValueError:
        return None
