"""Runs: resumed where they stopped, shared by nobody, begun by the hour and the night."""

import asyncio
from dataclasses import replace
from datetime import timedelta

from sqlalchemy import func, select

from billing.models import (
    ReconciliationRun,
    RunScope,
    RunState,
)
from billing.reconciling import Wanted, reconcile_due, schedule_runs, start_run
from billing.runtime import Runtime
from sandbox.stripe.app import FakeStripe
from sandbox.stripe.chaos import Fault, Switch
from tests.billing.reconciling.conftest import settled_invoice
from tests.world import Clock


async def test_a_run_goes_on_where_stripe_stopped_it(
    connected: Runtime, fake: FakeStripe, clock: Clock
) -> None:
    for _ in range(3):
        await settled_invoice(connected, fake, clock)
    async with connected.sessions.begin() as session:
        run = await start_run(session, Wanted(), actor="test", now=clock.at)
    fake.world.chaos.turn_on(Fault.DOWN, Switch(operation="GET /v1/invoices", calls=1))
    assert await reconcile_due(connected) == 0
    assert await reconcile_due(connected) == 0  # not due yet
    clock.advance(timedelta(minutes=1))
    assert await reconcile_due(connected) == 1

    async with connected.sessions() as session:
        done = await session.get_one(ReconciliationRun, run.id)
    assert (done.state, done.invoices_read, done.counts) == (RunState.DONE, 3, {})


async def test_two_workers_share_no_run_and_schedule_once(
    connected: Runtime, fake: FakeStripe, clock: Clock
) -> None:
    await settled_invoice(connected, fake, clock)
    await asyncio.gather(*(schedule_runs(connected) for _ in range(4)))
    await asyncio.gather(*(reconcile_due(connected) for _ in range(3)))

    async with connected.sessions() as session:
        runs = (await session.scalars(select(ReconciliationRun))).all()
    assert sorted(run.scope for run in runs) == [RunScope.UNSETTLED, RunScope.WINDOW]
    assert {run.state for run in runs} == {RunState.DONE}
    assert all(run.is_repairing for run in runs)

    clock.advance(timedelta(hours=1))
    await schedule_runs(connected)
    async with connected.sessions() as session:
        assert await session.scalar(select(func.count()).select_from(ReconciliationRun)) == 3


async def test_a_setting_keeps_scheduled_runs_from_mending(
    connected: Runtime, clock: Clock
) -> None:
    careful = replace(connected, settings=replace(connected.settings, reconcile_repairs=False))
    await schedule_runs(careful)

    async with connected.sessions() as session:
        runs = (await session.scalars(select(ReconciliationRun))).all()
    assert [run.is_repairing for run in runs] == [False, False]
