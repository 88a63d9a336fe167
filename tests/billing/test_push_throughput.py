"""Two workers, one queue, one Stripe with limits: as fast as allowed, and hardly ever refused.

`python -m tests.soak --throughput 2000` is the same for more invoices.
"""

from datetime import datetime, timedelta

from sqlalchemy import func, select

from billing.estimates import current_estimate
from billing.ids import OrgId
from billing.invoices import sync_health
from billing.models import InvoiceSync, Organization, SyncState
from billing.runtime import Runtime
from sandbox.stripe.app import FakeStripe
from sandbox.stripe.chaos import Fault
from tests.billing.many import many_issued_invoices
from tests.billing.pushing import held
from tests.billing.throughput import LIMITS, limited, measured
from tests.billing.workers import workers
from tests.factories import EGRESS, a_meter, a_plan, a_price, an_organization, counted, subscribed
from tests.world import NOVEMBER_10, Clock

INVOICES = 400
RATE = 20.0
"""Calls a second of one endpoint: 80 % of 25."""


async def test_two_workers_use_the_whole_rate_and_are_hardly_ever_refused(
    runtime: Runtime, fake: FakeStripe, clock: Clock
) -> None:
    figures = await measured(runtime, fake, clock, INVOICES)

    print(figures)  # noqa: T201 - the figure is asked for
    assert figures.refused_share < 0.01
    assert figures.share_of_rate >= 0.95


async def test_a_day_of_outage_needs_nobody_and_drains_at_the_limits_pace(
    runtime: Runtime, fake: FakeStripe, clock: Clock
) -> None:
    count = 30
    fake.world.limits = LIMITS
    fake.world.chaos.turn_on(Fault.DOWN)
    ids = await many_issued_invoices(runtime, count, 1, clock.at)
    org_id = await an_estimated_organization(runtime)
    before = await estimated(runtime, org_id)
    async with workers(limited(runtime.settings), fake, clock) as pushing:
        for _ in range(4):
            clock.advance(timedelta(hours=6))
            await pushing.push_everything()
        async with runtime.sessions() as session:
            health = await sync_health(session, clock.at)
        assert (health.waiting, health.failed, health.held) == (count, 0, 0)
        assert await estimated(runtime, org_id) == before

        fake.world.chaos.turn_off(Fault.DOWN)
        back_at = clock.at
        began = clock.at = await last_attempt_at(runtime)
        assert began - back_at <= timedelta(minutes=10), "nobody waits longer between attempts"
        await pushing.push_everything()

    assert sorted(x.metadata["invoice_id"] for x in held(fake)) == sorted(map(str, ids))
    async with runtime.sessions() as session:
        assert set(await session.scalars(select(InvoiceSync.state))) == {SyncState.PUSHED}
    # After so long each looks before it creates, so some calls are of other endpoints; the busiest
    # is asked once an invoice, and twice where its lines are looked for.
    assert (clock.at - began).total_seconds() <= 2 * count / RATE + 5
    assert fake.world.traffic.refused.total() == 0


async def an_estimated_organization(runtime: Runtime) -> OrgId:
    async with runtime.sessions.begin() as session:
        org = await an_organization(session)
        plan, meter = await a_plan(session), await a_meter(session)
        await a_price(session, plan, EGRESS, meter=meter)
        await subscribed(session, org, plan)
        await counted(session, org.id, meter, "412.6", NOVEMBER_10)
    return org.id


async def estimated(runtime: Runtime, org_id: OrgId) -> int:
    """Minor units of the open period; usage stands still, whatever the time."""
    async with runtime.sessions() as session:
        org = await session.get_one(Organization, org_id)
    async with runtime.sessions() as session:
        return (await current_estimate(session, org, NOVEMBER_10)).draft.accrued.minor


async def last_attempt_at(runtime: Runtime) -> datetime:
    async with runtime.sessions() as session:
        found: datetime | None = await session.scalar(select(func.max(InvoiceSync.next_attempt_at)))
    assert found is not None
    return found
