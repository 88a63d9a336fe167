"""Every planted difference is found, and nothing else: two thousand invoices, by seed."""

import pytest

from billing.models import RunState
from billing.reconciling import Wanted, drifts_of
from billing.runtime import Runtime
from sandbox.reconcile_proof.main import verdict
from sandbox.reconcile_proof.ours import PERIOD, write_ours
from sandbox.reconcile_proof.plan import hold, plan
from sandbox.stripe.app import FakeStripe
from tests.billing.reconciling.conftest import run_of
from tests.world import Clock

DIFFERENCES = 40


@pytest.mark.parametrize(
    ("wanted", "invoices"),
    [(Wanted(), 2000), (Wanted(period=PERIOD), 300)],
    ids=["window", "period"],
)
async def test_just_what_was_planted_is_found(
    connected: Runtime, fake: FakeStripe, clock: Clock, wanted: Wanted, invoices: int
) -> None:
    planned = plan(invoices, DIFFERENCES, clock.at, seed=7)
    stripe = hold(fake.world, planned)
    await write_ours(connected.sessions, planned, stripe.ids)

    run = await run_of(connected, wanted)

    async with connected.sessions() as session:
        found = await drifts_of(session, run.id, limit=1000)
    told = {
        "counts": run.counts,
        "list_calls": run.list_calls,
        "invoices_read": run.invoices_read,
        "differences": [
            {
                "kind": one.drift.kind,
                "number": one.drift.number,
                "stripe_invoice_id": one.drift.stripe_invoice_id,
            }
            for one in found
        ],
    }
    assert run.state is RunState.DONE
    assert len(stripe.expected) == DIFFERENCES
    assert verdict(stripe.expected, told, cpu=0, seconds=0)
    assert run.list_calls == sum(fake.world.calls.values())
    assert min(run.counts.values()) >= 3
    assert len(run.counts) == 9
