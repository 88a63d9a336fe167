"""Invoices that are withdrawn."""

from sqlalchemy import select

from billing.ids import InvoiceId
from billing.models import Invoice, InvoiceSync, Organization
from billing.runtime import Runtime
from billing.voiding import void_invoice

VOID = "POST /v1/invoices/{invoice}/void"
REASON = "The wrong price"


async def org_of(runtime: Runtime, invoice_id: InvoiceId) -> tuple[Organization, str]:
    """Whose it is, and its number."""
    async with runtime.sessions() as session:
        invoice = await session.get_one(Invoice, invoice_id)
        return await session.get_one(Organization, invoice.org_id), str(invoice.number)


async def void(runtime: Runtime, invoice_id: InvoiceId) -> Invoice:
    org, number = await org_of(runtime, invoice_id)
    return await void_invoice(runtime, org, number, reason=REASON, actor="test")


async def stored(runtime: Runtime, invoice_id: InvoiceId) -> tuple[Invoice, InvoiceSync]:
    async with runtime.sessions() as session:
        row = (
            await session.execute(
                select(Invoice, InvoiceSync)
                .join(InvoiceSync, InvoiceSync.invoice_id == Invoice.id)
                .where(Invoice.id == invoice_id)
            )
        ).one()
    return row[0], row[1]
