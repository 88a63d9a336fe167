"""Books of both sides that agree, and the means to make them differ."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from billing.ids import InvoiceId
from billing.invoice_sync import push_due
from billing.models import Drift, InvoiceSync, ReconciliationRun
from billing.reconciling import Wanted, drifts_of, finish_run, start_run
from billing.runtime import Runtime
from billing.stripe_events import refresh
from sandbox.stripe.app import FakeStripe
from tests.billing.pushing import an_issued_invoice
from tests.world import Clock

EVERYTHING = Wanted()
Reconcile = Callable[..., Awaitable[list[Drift]]]


@pytest.fixture
def reconcile(connected: Runtime) -> Reconcile:
    """One run to its end; what it found."""

    async def reconciled(wanted: Wanted = EVERYTHING) -> list[Drift]:
        run = await run_of(connected, wanted)
        async with connected.sessions() as session:
            return [one.drift for one in await drifts_of(session, run.id, limit=1000)]

    return reconciled


async def run_of(runtime: Runtime, wanted: Wanted = EVERYTHING) -> ReconciliationRun:
    async with runtime.sessions.begin() as session:
        started = await start_run(session, wanted, actor="test", now=await runtime.now())
    return await finish_run(runtime, started.id)


async def settled_invoice(
    runtime: Runtime, fake: FakeStripe, clock: Clock, *, paid: bool = True
) -> tuple[InvoiceId, str]:
    """An invoice that both sides have had for two hours: paid, or still open."""
    invoice_id = await an_issued_invoice(runtime)
    await push_due(runtime)
    async with runtime.sessions() as session:
        stripe_id = (await session.get_one(InvoiceSync, invoice_id)).stripe_invoice_id
    assert stripe_id is not None
    clock.advance(timedelta(minutes=1))
    if paid:
        await fake.run_due(clock.at)
    await refresh(runtime, stripe_id, clock.at)
    clock.advance(timedelta(hours=2))
    return invoice_id, stripe_id
