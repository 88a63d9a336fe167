"""What staff are told of comparisons is what was compared: no failed run, no unfinished one."""

from datetime import timedelta
from typing import Any

import pytest

from billing.errors import Conflict
from billing.invoice_sync import push_due
from billing.models import InvoiceSync, ReconciliationRun, RunScope, RunState, SyncState
from billing.reconciling import (
    Wanted,
    finish_run,
    latest_comparison,
    make_books,
    start_run,
    unrepaired_counts,
)
from billing.reconciling.repairing import repair_next
from billing.reconciling.runs import LEASE
from billing.runtime import Runtime
from sandbox.stripe.app import FakeStripe
from sandbox.stripe.chaos import Fault, Switch
from tests.billing.pushing import CREATE, an_issued_invoice, held
from tests.billing.reconciling.conftest import run_of, settled_invoice
from tests.world import Clock


async def counted(runtime: Runtime) -> dict[str, int]:
    async with runtime.sessions() as session:
        return await unrepaired_counts(session)


async def compared(runtime: Runtime) -> ReconciliationRun | None:
    async with runtime.sessions() as session:
        return await latest_comparison(session)


async def started(runtime: Runtime, wanted: Wanted) -> ReconciliationRun:
    async with runtime.sessions.begin() as session:
        return await start_run(session, wanted, actor="test", now=await runtime.now())


async def test_a_run_that_failed_clears_no_alarm(
    connected: Runtime, fake: FakeStripe, clock: Clock
) -> None:
    await settled_invoice(connected, fake, clock)
    held(fake)[0].lines[0].amount += 1
    looked = await run_of(connected)
    assert await counted(connected) == {"AMOUNT_DRIFT": 1}
    clock.advance(timedelta(days=1))
    failed = await started(connected, Wanted())
    async with connected.sessions.begin() as session:
        run = await session.get_one(ReconciliationRun, failed.id)
        run.state, run.finished_at = RunState.FAILED, clock.at

    assert await counted(connected) == {"AMOUNT_DRIFT": 1}
    found = await compared(connected)
    assert found is not None
    assert found.id == looked.id


async def test_a_day_of_hourly_looks_does_not_hide_the_nightly_one(
    connected: Runtime, fake: FakeStripe, clock: Clock
) -> None:
    await settled_invoice(connected, fake, clock)
    nightly = await run_of(connected)
    for _ in range(23):
        clock.advance(timedelta(hours=1))
        await run_of(connected, Wanted(RunScope.UNSETTLED))

    found = await compared(connected)
    assert found is not None
    assert found.id == nightly.id


async def test_what_was_mended_alarms_nobody(
    connected: Runtime, fake: FakeStripe, clock: Clock
) -> None:
    await settled_invoice(connected, fake, clock, paid=False)
    await fake.run_due(clock.at)  # paid, and no webhook tells us
    clock.advance(timedelta(minutes=20))
    run = await run_of(connected, Wanted(is_repairing=True))

    assert (run.counts, run.repaired) == ({"STATUS_DRIFT": 1}, 1)
    assert await counted(connected) == {}


async def test_a_run_that_another_worker_has_is_no_run_without_differences(
    connected: Runtime, fake: FakeStripe, clock: Clock
) -> None:
    """`stripe-sync reconcile` would have said "no difference" of what nobody had read yet."""
    await settled_invoice(connected, fake, clock)
    held(fake)[0].lines[0].amount += 1
    run = await started(connected, Wanted())
    async with connected.sessions.begin() as session:  # the sweep was faster
        (await session.get_one(ReconciliationRun, run.id)).next_attempt_at = clock.at + LEASE

    with pytest.raises(Conflict, match="/ops/reconciliation"):
        await finish_run(connected, run.id)
    clock.advance(LEASE)
    assert (await finish_run(connected, run.id)).counts == {"AMOUNT_DRIFT": 1}


async def test_books_say_what_is_still_being_sent(
    connected: Runtime, fake: FakeStripe, clock: Clock
) -> None:
    """Made right after a close they differ, and nothing would tell by which invoices."""
    await settled_invoice(connected, fake, clock)
    await an_issued_invoice(connected)  # waits for Stripe
    await an_issued_invoice(connected, 100)
    fake.world.chaos.turn_on(Fault.DOWN, Switch(operation=CREATE, calls=1))
    await push_due(connected)  # one of them is sent
    clock.advance(timedelta(minutes=5))

    body = await books(connected)
    assert (body["is_equal"], body["differences"]) == (False, [])
    assert body["being_sent"] == [{"currency": "USD", "invoices": 2, "total": "35.94"}]

    clock.advance(timedelta(hours=2))
    body = await books(connected)
    assert [one["kind"] for one in body["differences"]] == ["NOT_SYNCED"]
    assert body["being_sent"] == []


async def books(runtime: Runtime) -> dict[str, Any]:
    run = await run_of(runtime, Wanted(period="2026-11"))
    async with runtime.sessions.begin() as session:
        key, now = runtime.settings.secret_key, await runtime.now()
        report = await make_books(session, run, secret_key=key, is_live=False, now=now)
    return dict(report.body)


async def test_what_stopped_for_a_person_since_it_was_compared_is_not_pushed(
    connected: Runtime, fake: FakeStripe, clock: Clock
) -> None:
    invoice_id = await an_issued_invoice(connected)
    clock.advance(timedelta(hours=2))
    run = await run_of(connected)
    assert run.counts == {"NOT_SYNCED": 1}
    async with connected.sessions.begin() as session:
        sync = await session.get_one(InvoiceSync, invoice_id)
        sync.state, sync.error_code = SyncState.HELD, "STRIPE_MISMATCH"

    mended = await repair_next(connected, run)

    assert mended is not None
    assert (mended.is_repaired, mended.result) == (False, "it stopped for a person meanwhile")
    async with connected.sessions() as session:
        assert (await session.get_one(InvoiceSync, invoice_id)).state is SyncState.HELD
