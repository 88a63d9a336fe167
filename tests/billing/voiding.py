"""Invoices that are withdrawn."""

from sqlalchemy import func, select

from billing.ids import InvoiceId
from billing.invoice_sync import push_due
from billing.models import AuditEntry, Invoice, InvoiceSync, Organization
from billing.runtime import Runtime
from billing.voiding import void_invoice
from sandbox.stripe.app import FakeStripe
from sandbox.stripe.chaos import Fault, Switch
from sandbox.stripe.records import Status
from tests.billing.pushing import ADD_LINES, an_issued_invoice, held

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


async def acts(runtime: Runtime) -> int:
    async with runtime.sessions() as session:
        found = await session.scalar(
            select(func.count()).where(AuditEntry.action == "invoice.voided")
        )
    return found or 0


async def a_draft_there(runtime: Runtime, fake: FakeStripe) -> InvoiceId:
    """An invoice whose push stopped after its draft was created."""
    invoice_id = await an_issued_invoice(runtime)
    fake.world.chaos.turn_on(Fault.DOWN, Switch(calls=1, operation=ADD_LINES))
    await push_due(runtime)
    assert [x.status for x in held(fake)] == [Status.DRAFT]
    return invoice_id
