"""The demo's data: made once, by the product's own functions, and never over somebody else's."""

import pytest
from sqlalchemy import func, select

from billing.accounts import get_organization
from billing.estimates import Estimate, current_estimate
from billing.invoices import invoices_for_org
from billing.models import Invoice, InvoiceStatus, SyncState, UsageSeries
from billing.rules.lines import LineKind
from billing.runtime import Runtime
from billing.sign_in import people_of_the_demo, sign_in
from sandbox.seed import PRESENT, ForeignData, Seeded, seed
from sandbox.seed.standing import mark_begun
from sandbox.stripe.memory import Memory
from tests.factories import an_organization


async def test_a_seed_left_half_done_is_begun_anew_and_then_kept(sandbox: Runtime) -> None:
    async with sandbox.sessions.begin() as session:
        await an_organization(session, key="acme")
        await mark_begun(session, sandbox.settings, PRESENT)

    assert await seed(sandbox) is Seeded.ANEW
    assert (await sandbox.now() - PRESENT).total_seconds() < 60
    await check_acme(sandbox)
    await check_solo(sandbox)
    await check_bigco(sandbox)
    await check_stripe(sandbox)
    await check_people(sandbox)
    assert await seed(sandbox) is Seeded.KEPT


async def check_acme(sandbox: Runtime) -> None:
    """All kinds of charges, an allowance half used, a ladder climbed, a deleted app, a past."""
    estimate = await estimate_of(sandbox, "acme")
    kinds = {line.kind for line in estimate.lines}
    assert kinds >= {LineKind.USAGE, LineKind.FEE, LineKind.ONE_OFF, LineKind.FEE_IN_ADVANCE}
    quantities = {line.key: line.quantity for line in estimate.lines}
    assert 40 < (quantities["pro/egress/USD@1"] or 0) < 60
    assert (quantities["pro/compute/USD@1"] or 0) > 2000
    apps = {share.value for share in estimate.by_dimension("app")}
    assert {"api", "worker", "web", "old-staging"} <= apps
    regions = {share.value for share in estimate.by_dimension("region")}
    assert {"fra", "iad", "syd", "gru"} <= regions

    invoices = await invoices_of(sandbox, "acme")
    assert invoices[0].number == "ACME-0005"
    assert {invoice.status for invoice in invoices} == {InvoiceStatus.PAID}
    assert all(x.paid_at and x.issued_at and x.paid_at > x.issued_at for x in invoices)


async def check_solo(sandbox: Runtime) -> None:
    """Pennies, carried from month to month."""
    estimate = await estimate_of(sandbox, "solo")
    assert 0 < estimate.accrued.minor < 50
    assert {LineKind.CARRIED_IN, LineKind.CARRIED_OUT} <= {line.kind for line in estimate.lines}
    states = {x.sync and x.sync.state for x in await invoices_of(sandbox, "solo")}
    assert states == {SyncState.NOT_NEEDED}


async def check_bigco(sandbox: Runtime) -> None:
    async with sandbox.sessions() as session:
        org = await get_organization(session, "bigco")
        series = await session.scalar(
            select(func.count()).select_from(UsageSeries).where(UsageSeries.org_id == org.id)
        )
    assert series == 3000


async def check_stripe(sandbox: Runtime) -> None:
    """What the demo's fake Stripe will remember is what was sent."""
    world = await Memory(sandbox.settings.database_url).recall()
    assert world
    assert len(world.invoices) == 7
    assert {invoice.status for invoice in world.invoices} == {"paid"}
    async with sandbox.sessions() as session:
        pushed = (await session.scalars(select(Invoice).where(Invoice.total_minor > 0))).all()
    ours = {str(invoice.id): invoice.total_minor for invoice in pushed}
    assert {x.metadata["invoice_id"]: x.total for x in world.invoices} == ours


async def check_people(sandbox: Runtime) -> None:
    async with sandbox.sessions.begin() as session:
        people = {person.email for person in await people_of_the_demo(session)}
        assert {"dana@acme.example", "olive@platform.example"} <= people
    now = await sandbox.now()
    assert await sign_in(sandbox.sessions, "dana@acme.example", "dana-demo-password", now)


async def estimate_of(sandbox: Runtime, slug: str) -> Estimate:
    now = await sandbox.now()
    async with sandbox.sessions() as session:
        org = await get_organization(session, slug)
    async with sandbox.sessions() as session:
        return await current_estimate(session, org, now)


async def invoices_of(sandbox: Runtime, slug: str) -> list[Invoice]:
    async with sandbox.sessions() as session:
        org = await get_organization(session, slug)
        return [*await invoices_for_org(session, org.id, limit=50)]


async def test_somebody_elses_database_is_left_alone(sandbox: Runtime) -> None:
    async with sandbox.sessions.begin() as session:
        await an_organization(session, key="customer")
    with pytest.raises(ForeignData, match="empty"):
        await seed(sandbox)
    assert not await invoices_of(sandbox, "customer")
