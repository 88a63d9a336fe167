"""A worker may die anywhere, before a call, before its answer or after a commit, and come back."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from billing.ids import InvoiceId
from billing.invoice_sync import push_due
from billing.models import SyncState
from billing.runtime import Runtime
from sandbox.stripe.chaos import Fault, Switch
from tests.billing.pushing import (
    ADD_LINES,
    CREATE,
    FINALIZE,
    an_issued_invoice,
    assert_exactly_once,
    sync_of,
)
from tests.soak.doors import Doors
from tests.soak.stage import Stage, stage_for

CUSTOMER = "POST /v1/customers"
DOORS = 14
"""Of the push of one invoice to a new customer: eight beside its four calls, six after commits."""

FAULTS = (
    Fault.ERROR_BEFORE_COMMIT,
    Fault.ERROR_AFTER_COMMIT,
    Fault.TIMEOUT_AFTER_COMMIT,
    Fault.CUT_MID_BODY,
    Fault.RATE_LIMIT,
)
STEPS = (CUSTOMER, CREATE, ADD_LINES, FINALIZE)


@pytest.fixture
async def stage(runtime: Runtime) -> AsyncIterator[Stage]:
    async with stage_for(runtime, (), seed=1) as found:
        yield found


async def pushed_in_the_end(stage: Stage, invoice_id: InvoiceId) -> None:
    """From now on nothing goes wrong: it ends with one there, whole."""
    stage.clock.advance(timedelta(minutes=6))
    for _ in range(12):
        await stage.work(push_due)
        sync = await sync_of(stage.base, invoice_id)
        if sync.state is SyncState.PUSHED:
            assert_exactly_once(stage.fake, invoice_id, 3494, 2)
            return
        stage.clock.advance(timedelta(minutes=11))
    pytest.fail(f"{sync.state}: {sync.error_message}")


async def test_a_push_passes_as_many_doors_as_there_are_tests_for(stage: Stage) -> None:
    await an_issued_invoice(stage.base)
    doors = Doors()
    async with stage.worker(doors) as runtime:
        await push_due(runtime)

    # and one more each for the claims that find nothing left
    assert doors.passed == DOORS + 1


@pytest.mark.parametrize("hours", [0, 25])
@pytest.mark.parametrize("door", range(1, DOORS + 1))
async def test_a_worker_may_die_at_any_door(stage: Stage, door: int, hours: int) -> None:
    invoice_id = await an_issued_invoice(stage.base)
    await stage.work(push_due, fatal=door)
    stage.clock.advance(timedelta(hours=hours))

    await pushed_in_the_end(stage, invoice_id)

    if hours == 0:
        assert len(list(stage.fake.world.customers)) == 1


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_worker_may_die_after_any_fault_of_any_call(stage: Stage, fault: Fault) -> None:
    """Each call fails once, the worker that was told of it dies at once, and another comes."""
    for number, operation in enumerate(STEPS):
        invoice_id = await an_issued_invoice(stage.base)
        stage.fake.world.chaos.turn_on(fault, Switch(operation=operation, calls=1))
        await stage.work(push_due, fatal=4 + 3 * number)
        stage.clock.advance(timedelta(minutes=6))
        await stage.work(push_due, fatal=3)
        stage.fake.world.chaos.turn_off(fault)

        await pushed_in_the_end(stage, invoice_id)
