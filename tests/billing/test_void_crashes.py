"""Voiding that is cut off, raced by pushes, or about what a push may have left."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import cast

import pytest
from sqlalchemy import update

from billing.errors import Conflict, Unavailable
from billing.ids import InvoiceId
from billing.invoice_sync import push_due
from billing.models import InvoiceStatus, InvoiceSync, SyncState, SyncStep
from billing.runtime import Runtime
from billing.stripe_protocol import Stripe
from billing.voiding import BeingPushed
from sandbox.stripe.app import FakeStripe
from sandbox.stripe.chaos import Fault, Switch
from sandbox.stripe.records import Status
from tests.billing.dying import Crash, Dying
from tests.billing.pushing import (
    ADD_LINES,
    CREATE,
    FINALIZE,
    an_issued_invoice,
    held,
    until_pushed,
)
from tests.billing.test_push_doubts import through
from tests.billing.test_stripe_events import a_pushed_invoice
from tests.billing.voiding import a_draft_there, acts, stored, void
from tests.world import Clock


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at", [1, 2])
@pytest.mark.parametrize("where", ["draft", "open"])
@pytest.mark.parametrize("then", ["void", "push"])
async def test_it_may_die_at_any_call(
    connected: Runtime,
    fake: FakeStripe,
    clock: Clock,
    where: str,
    at: int,
    after: bool,
    then: str,
) -> None:
    """Nothing was withdrawn, so it is pushed on; and voiding again finds what there is."""
    if where == "draft":
        invoice_id = await a_draft_there(connected, fake)
    else:
        invoice_id, _ = await a_pushed_invoice(connected)
    dying = replace(connected, stripe=cast(Stripe, Dying(connected.stripe, at, after=after)))
    with pytest.raises(Crash):
        await void(dying, invoice_id)
    assert (await stored(connected, invoice_id))[0].status is InvoiceStatus.OPEN
    assert await push_due(connected) == 0, "its lease has not run out"

    clock.advance(timedelta(minutes=6))
    if then == "push" and where == "draft":
        await until_pushed(connected, clock, invoice_id)
        assert [x.status for x in held(fake)] == [Status.OPEN]
    await void(connected, invoice_id)

    assert {x.status for x in held(fake)} <= {Status.VOID}
    assert (await stored(connected, invoice_id))[0].status is InvoiceStatus.VOID
    clock.advance(timedelta(days=1))
    assert await push_due(connected) == 0


@pytest.mark.parametrize("operation", [CREATE, ADD_LINES, FINALIZE])
@pytest.mark.parametrize("fault", [Fault.DOWN, Fault.TIMEOUT_AFTER_COMMIT])
async def test_a_push_whose_outcome_is_unknown_is_looked_for(
    connected: Runtime, fake: FakeStripe, clock: Clock, operation: str, fault: Fault
) -> None:
    invoice_id = await an_issued_invoice(connected)
    fake.world.chaos.turn_on(fault, Switch(calls=1, operation=operation))
    await push_due(connected)
    await void(connected, invoice_id)

    assert {x.status for x in held(fake)} <= {Status.VOID}
    clock.advance(timedelta(days=2))
    assert await push_due(connected) == 0


async def test_no_push_runs_meanwhile(connected: Runtime, fake: FakeStripe, clock: Clock) -> None:
    invoice_id = await an_issued_invoice(connected)
    started, released = asyncio.Event(), asyncio.Event()

    async def slowly(call: Callable[..., object], *args: object) -> object:
        started.set()
        await released.wait()
        return await call(*args)  # type: ignore[misc] # awaitable

    pushing = asyncio.create_task(push_due(through(connected, "add_lines", slowly)))
    await started.wait()
    with pytest.raises(BeingPushed):
        await void(connected, invoice_id)
    released.set()
    await pushing

    await void(connected, invoice_id)
    assert [x.status for x in held(fake)] == [Status.VOID]


async def test_a_worker_that_was_thought_dead_writes_nothing_more(
    connected: Runtime, fake: FakeStripe, clock: Clock
) -> None:
    invoice_id = await an_issued_invoice(connected)
    answered, released = asyncio.Event(), asyncio.Event()

    async def slowly(call: Callable[..., object], *args: object) -> object:
        answer = await call(*args)  # type: ignore[misc] # awaitable
        answered.set()
        await released.wait()
        return answer

    pushing = asyncio.create_task(push_due(through(connected, "create_invoice", slowly)))
    await answered.wait()
    clock.advance(timedelta(minutes=6))
    await void(connected, invoice_id)
    released.set()
    await pushing

    assert held(fake) == []
    invoice, sync = await stored(connected, invoice_id)
    assert (invoice.status, sync.state, sync.step) == (
        InvoiceStatus.VOID,
        SyncState.NOT_NEEDED,
        SyncStep.NEW,
    )


async def test_many_voids_and_pushes_at_once_end_in_void(
    connected: Runtime, fake: FakeStripe, clock: Clock
) -> None:
    invoice_ids = [await an_issued_invoice(connected) for _ in range(4)]

    async def insistently(invoice_id: InvoiceId) -> None:
        for _ in range(200):
            try:
                await void(connected, invoice_id)
            except (Unavailable, Conflict):
                await asyncio.sleep(0.01)
            else:
                return

    await asyncio.gather(
        *(insistently(x) for x in invoice_ids for _ in range(2)),
        *(push_due(connected) for _ in range(3)),
    )
    assert {x.status for x in held(fake)} <= {Status.VOID}
    for invoice_id in invoice_ids:
        assert (await stored(connected, invoice_id))[0].status is InvoiceStatus.VOID
    assert await acts(connected) == len(invoice_ids)


async def test_a_restored_backup_that_knows_nothing_is_looked_for_too(
    connected: Runtime, fake: FakeStripe, clock: Clock
) -> None:
    invoice_id, _ = await a_pushed_invoice(connected)
    async with connected.sessions.begin() as session:
        await session.execute(
            update(InvoiceSync)
            .where(InvoiceSync.invoice_id == invoice_id)
            .values(
                state=SyncState.PENDING, step=SyncStep.NEW, stripe_invoice_id=None, keyed_at=None
            )
        )
    clock.advance(timedelta(days=2))
    await void(connected, invoice_id)

    assert [x.status for x in held(fake)] == [Status.VOID]
