"""What Stripe says of an invoice's money, beside its status: facts, and never money of ours."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from billing.ids import InvoiceId
from billing.models import PaymentFacts
from billing.stripe_protocol import MoneyBack, StripeInvoice


async def write_facts(
    session: AsyncSession,
    invoice_id: InvoiceId,
    found: StripeInvoice,
    back: MoneyBack | None,
    now: datetime,
) -> None:
    """Keep what a fetch found; without `back`, what is known of refunds and disputes stays.

    The caller holds the lock of the invoice's sync row.
    """
    facts = await session.get(PaymentFacts, invoice_id)
    if facts is None:
        facts = PaymentFacts(invoice_id=invoice_id, refunded_minor=0, disputed_minor=0)
        session.add(facts)
    facts.amount_paid_minor = found.amount_paid_minor
    facts.paid_off_stripe_minor = found.paid_off_stripe_minor
    facts.credited_before_minor = found.credited_before_minor
    facts.credited_after_minor = found.credited_after_minor
    facts.balance_minor = found.balance_minor
    facts.fetched_at = now
    if back is not None:
        facts.refunded_minor = back.refunded_minor
        facts.disputed_minor = back.disputed_minor
        facts.dispute_status = back.dispute_status


async def find_facts(session: AsyncSession, invoice_id: InvoiceId) -> PaymentFacts | None:
    """Of one invoice; None until Stripe has been asked about it."""
    return await session.get(PaymentFacts, invoice_id)


async def facts_by_invoice(
    session: AsyncSession, invoice_ids: Sequence[InvoiceId]
) -> dict[InvoiceId, PaymentFacts]:
    """Of several in one query; those that Stripe was not asked about are left out."""
    rows = await session.scalars(
        select(PaymentFacts).where(PaymentFacts.invoice_id.in_(invoice_ids))
    )
    return {row.invoice_id: row for row in rows}
