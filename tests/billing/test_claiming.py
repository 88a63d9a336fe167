"""Who pushes what: as many leases as were asked for, one of a customer."""

from datetime import timedelta

from sqlalchemy import func, select

from billing.invoice_sync.claiming import LEASE, claim_due
from billing.models import Invoice, InvoiceSync, SyncState
from billing.runtime import Runtime
from tests.billing.many import many_issued_invoices
from tests.world import Clock


async def leased(runtime: Runtime) -> tuple[int, int]:
    """Invoices that are leased, and of how many customers."""
    async with runtime.sessions() as session:
        row = await session.execute(
            select(func.count(), func.count(Invoice.org_id.distinct()))
            .join(InvoiceSync, InvoiceSync.invoice_id == Invoice.id)
            .where(InvoiceSync.state == SyncState.PUSHING)
        )
        found, customers = row.one()
        return found, customers


async def test_a_claim_leases_as_many_as_it_answers_and_one_of_a_customer(
    runtime: Runtime, clock: Clock
) -> None:
    await many_issued_invoices(runtime, 30, 2, clock.at)
    clock.advance(timedelta(minutes=1))

    first = await claim_due(runtime, 7)
    assert (len(first), await leased(runtime)) == (7, (7, 7))
    second = await claim_due(runtime, 100)
    assert (len(second), await leased(runtime)) == (23, (30, 30))
    assert await claim_due(runtime, 100) == [], "everybody's other one waits for the first"

    clock.advance(LEASE)
    assert len(await claim_due(runtime, 100)) == 30
