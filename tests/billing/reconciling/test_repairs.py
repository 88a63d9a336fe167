"""What is safe is mended, once looked at again; what moves money is left to a person."""

from datetime import timedelta

import pytest
from sqlalchemy import delete, select, update

from billing.invoice_sync import push_due
from billing.models import (
    AuditEntry,
    Drift,
    Invoice,
    InvoiceStatus,
    InvoiceSync,
    ReconciliationRun,
    RunScope,
    RunState,
    StripeEvent,
    SyncState,
)
from billing.reconciling import Wanted, reconcile_due, start_run
from billing.reconciling.repairing import REPAIRS_PER_RUN_MAX
from billing.rules.drift import DriftKind, Repair
from billing.runtime import Runtime
from sandbox.stripe.app import FakeStripe
from sandbox.stripe.bulk import Held, hold_invoices
from sandbox.stripe.chaos import Fault, Switch
from sandbox.stripe.records import Invoice as StripeRecord
from sandbox.stripe.records import Status
from tests.billing.pushing import an_issued_invoice, held, sync_of, until_pushed
from tests.billing.reconciling.conftest import Reconcile, run_of, settled_invoice
from tests.world import Clock

MEND = Wanted(is_repairing=True)


def found(drifts: list[Drift]) -> list[tuple[DriftKind, Repair, bool]]:
    return [(one.kind, one.repair, one.repaired_at is not None) for one in drifts]


async def status_of(runtime: Runtime, invoice_id: object) -> InvoiceStatus:
    async with runtime.sessions() as session:
        return (await session.get_one(Invoice, invoice_id)).status


async def test_after_a_push_the_books_are_equal(
    connected: Runtime, fake: FakeStripe, clock: Clock, reconcile: Reconcile
) -> None:
    await settled_invoice(connected, fake, clock)
    await settled_invoice(connected, fake, clock, paid=False)
    await an_issued_invoice(connected)  # on its way

    assert await reconcile() == []


async def test_what_no_event_told_of_is_fetched(
    connected: Runtime, fake: FakeStripe, clock: Clock, reconcile: Reconcile
) -> None:
    """Stripe can fail to make an event at all: then nothing but this finds out."""
    invoice_id, _ = await settled_invoice(connected, fake, clock, paid=False)
    await fake.run_due(clock.at)
    clock.advance(timedelta(hours=1))
    async with connected.sessions.begin() as session:
        await session.execute(delete(StripeEvent))

    told = await reconcile()
    assert found(told) == [(DriftKind.STATUS_DRIFT, Repair.REFETCH, False)]
    assert told[0].message == (
        "The statuses differ. status: open here, paid there; amount paid: 0.00 here, 34.94 there."
    )
    assert await status_of(connected, invoice_id) is InvoiceStatus.OPEN

    assert found(await reconcile(MEND)) == [(DriftKind.STATUS_DRIFT, Repair.REFETCH, True)]
    assert await status_of(connected, invoice_id) is InvoiceStatus.PAID
    assert await reconcile() == []


async def test_the_hourly_look_finds_what_is_open_here_alone(
    connected: Runtime, fake: FakeStripe, clock: Clock, reconcile: Reconcile
) -> None:
    invoice_id, _ = await settled_invoice(connected, fake, clock, paid=False)
    await settled_invoice(connected, fake, clock, paid=False)
    record = held(fake)[-1]
    record.status, record.paid_at = Status.PAID, record.created
    record.amount_paid = record.total

    drifts = await reconcile(Wanted(RunScope.UNSETTLED, is_repairing=True))

    assert found(drifts) == [(DriftKind.STATUS_DRIFT, Repair.REFETCH, True)]
    assert await status_of(connected, invoice_id) is InvoiceStatus.PAID


async def test_an_invoice_that_stripe_lost_is_pushed_again_once(
    connected: Runtime, fake: FakeStripe, clock: Clock, reconcile: Reconcile
) -> None:
    invoice_id, _ = await settled_invoice(connected, fake, clock, paid=False)
    held(fake)[0].deleted = True
    clock.advance(timedelta(days=2))

    assert found(await reconcile(MEND)) == [(DriftKind.MISSING, Repair.PUSH, True)]
    await until_pushed(connected, clock, invoice_id)

    ours = [x for x in held(fake) if x.metadata.get("invoice_id") == str(invoice_id)]
    assert [(x.status, x.total) for x in ours] == [(Status.OPEN, 3494)]
    clock.advance(timedelta(hours=2))
    assert await reconcile() == []


async def test_a_paid_one_that_stripe_lost_is_never_charged_again(
    connected: Runtime, fake: FakeStripe, clock: Clock, reconcile: Reconcile
) -> None:
    await settled_invoice(connected, fake, clock)
    held(fake)[0].deleted = True

    assert found(await reconcile(MEND)) == [(DriftKind.MISSING, Repair.PERSON, False)]


async def test_a_draft_that_was_left_is_finished(
    connected: Runtime, fake: FakeStripe, clock: Clock, reconcile: Reconcile
) -> None:
    invoice_id = await an_issued_invoice(connected)
    fake.world.chaos.turn_on(Fault.DOWN, Switch(operation="POST /v1/invoices/{invoice}/finalize"))
    await push_due(connected)
    fake.world.chaos.turn_off(Fault.DOWN)
    async with connected.sessions.begin() as session:
        await session.execute(
            update(InvoiceSync).values(next_attempt_at=clock.at + timedelta(days=9))
        )
    clock.advance(timedelta(hours=3))

    assert found(await reconcile(MEND)) == [(DriftKind.STUCK_DRAFT, Repair.PUSH, True)]
    sync = await until_pushed(connected, clock, invoice_id)
    assert sync.state is SyncState.PUSHED


async def test_what_was_never_sent_is_sent(
    connected: Runtime, fake: FakeStripe, clock: Clock, reconcile: Reconcile
) -> None:
    invoice_id = await an_issued_invoice(connected)
    async with connected.sessions.begin() as session:
        await session.execute(
            update(InvoiceSync).values(next_attempt_at=clock.at + timedelta(days=9))
        )
    clock.advance(timedelta(hours=3))

    assert found(await reconcile(MEND)) == [(DriftKind.NOT_SYNCED, Repair.PUSH, True)]
    assert (await until_pushed(connected, clock, invoice_id)).state is SyncState.PUSHED


def a_copy(fake: FakeStripe, record: StripeRecord, status: Status, created: int) -> StripeRecord:
    """As somebody makes one in the Dashboard from ours, its metadata with it."""
    (copy,) = hold_invoices(
        fake.world,
        [
            Held(
                customer=record.customer,
                created=created,
                amounts=(3494,),
                status=status,
                metadata=record.metadata,
            )
        ],
    )
    return copy


async def test_a_surplus_draft_is_deleted_and_ours_stays(
    connected: Runtime, fake: FakeStripe, clock: Clock, reconcile: Reconcile
) -> None:
    _, stripe_id = await settled_invoice(connected, fake, clock)
    a_copy(fake, held(fake)[0], Status.DRAFT, int(clock.at.timestamp()))
    clock.advance(timedelta(hours=2))

    assert found(await reconcile()) == [(DriftKind.DUPLICATE, Repair.DELETE_DRAFT, False)]
    assert len(held(fake)) == 2
    assert found(await reconcile(MEND)) == [(DriftKind.DUPLICATE, Repair.DELETE_DRAFT, True)]
    assert [x.id for x in held(fake)] == [stripe_id]


async def test_a_draft_that_was_issued_meanwhile_is_not_touched(
    connected: Runtime, fake: FakeStripe, clock: Clock
) -> None:
    """It is looked at once more right before."""
    await settled_invoice(connected, fake, clock)
    copy = a_copy(fake, held(fake)[0], Status.DRAFT, int(clock.at.timestamp()))
    clock.advance(timedelta(hours=2))
    async with connected.sessions.begin() as session:
        run = await start_run(session, MEND, actor="test", now=clock.at)
    fake.world.chaos.turn_on(Fault.DOWN, Switch(operation="GET /v1/invoices/{invoice}", calls=1))
    await reconcile_due(connected)
    copy.status, copy.finalized_at = Status.OPEN, copy.created
    clock.advance(timedelta(minutes=5))
    await reconcile_due(connected)

    async with connected.sessions() as session:
        assert (await session.get_one(ReconciliationRun, run.id)).state is RunState.DONE
        (drift,) = await session.scalars(select(Drift))
    assert drift.repaired_at is None
    assert drift.result == "it is open now: a person must look"
    assert len(held(fake)) == 2


@pytest.mark.parametrize("status", [Status.OPEN, Status.PAID])
async def test_two_issued_ones_are_for_a_person(
    connected: Runtime, fake: FakeStripe, clock: Clock, reconcile: Reconcile, status: Status
) -> None:
    await settled_invoice(connected, fake, clock)
    a_copy(fake, held(fake)[0], status, int(clock.at.timestamp()))
    clock.advance(timedelta(hours=2))

    assert found(await reconcile(MEND)) == [(DriftKind.DUPLICATE, Repair.PERSON, False)]
    assert len(held(fake)) == 2


async def test_money_that_differs_is_for_a_person(
    connected: Runtime, fake: FakeStripe, clock: Clock, reconcile: Reconcile
) -> None:
    await settled_invoice(connected, fake, clock)
    held(fake)[0].lines[0].amount += 1

    drifts = await reconcile(MEND)

    assert found(drifts) == [(DriftKind.AMOUNT_DRIFT, Repair.PERSON, False)]
    assert "total: 34.94 here, 34.95 there" in drifts[0].message
    async with connected.sessions() as session:
        assert await session.scalar(select(Invoice.total_minor)) == 3494


async def test_a_customer_balance_is_for_a_person(
    connected: Runtime, fake: FakeStripe, clock: Clock, reconcile: Reconcile
) -> None:
    await settled_invoice(connected, fake, clock)
    held(fake)[0].starting_balance = -200

    assert found(await reconcile(MEND)) == [(DriftKind.PAYMENT_DRIFT, Repair.PERSON, False)]


async def test_whose_metadata_was_removed_is_still_ours(
    connected: Runtime, fake: FakeStripe, clock: Clock, reconcile: Reconcile
) -> None:
    await settled_invoice(connected, fake, clock)
    held(fake)[0].metadata.clear()

    assert await reconcile() == []


@pytest.mark.parametrize("claimed", ["0198c0de-0000-7000-8000-000000000000", "not-an-id"])
async def test_an_id_of_ours_that_we_do_not_have_is_never_touched(
    connected: Runtime, fake: FakeStripe, clock: Clock, reconcile: Reconcile, claimed: str
) -> None:
    _, stripe_id = await settled_invoice(connected, fake, clock)
    copy = a_copy(fake, held(fake)[0], Status.DRAFT, int(clock.at.timestamp()))
    copy.metadata = {"invoice_id": claimed}
    clock.advance(timedelta(hours=2))

    assert found(await reconcile(MEND)) == [(DriftKind.ORPHAN, Repair.PERSON, False)]
    assert {x.id for x in held(fake)} == {stripe_id, copy.id}


async def test_repairs_are_capped_and_each_is_audited(
    connected: Runtime, fake: FakeStripe, clock: Clock
) -> None:
    for _ in range(REPAIRS_PER_RUN_MAX + 2):
        await an_issued_invoice(connected)
    async with connected.sessions.begin() as session:
        await session.execute(
            update(InvoiceSync).values(next_attempt_at=clock.at + timedelta(days=9))
        )
    clock.advance(timedelta(hours=3))

    run = await run_of(connected, MEND)

    assert run.counts == {"NOT_SYNCED": REPAIRS_PER_RUN_MAX + 2}
    assert run.repaired == REPAIRS_PER_RUN_MAX
    async with connected.sessions() as session:
        entries = (
            await session.scalars(
                select(AuditEntry).where(AuditEntry.action == "reconciliation.repaired")
            )
        ).all()
        keys = {entry.details["key"] for entry in entries}
    assert len(entries) == len(keys) == REPAIRS_PER_RUN_MAX
    assert all(key.startswith(f"recon-{run.id}-") for key in keys)


async def test_a_dry_run_writes_nothing_but_what_it_found(
    connected: Runtime, fake: FakeStripe, clock: Clock, reconcile: Reconcile
) -> None:
    invoice_id = await an_issued_invoice(connected)
    fake.world.chaos.turn_on(Fault.DOWN, Switch(operation="POST /v1/invoices"))
    await push_due(connected)
    fake.world.chaos.turn_off(Fault.DOWN)
    before = await sync_of(connected, invoice_id)
    clock.advance(timedelta(hours=3))
    fake.world.calls.clear()

    assert found(await reconcile()) == [(DriftKind.NOT_SYNCED, Repair.PUSH, False)]
    after = await sync_of(connected, invoice_id)
    assert (after.state, after.next_attempt_at) == (before.state, before.next_attempt_at)
    assert dict(fake.world.calls) == {"GET /v1/invoices": 1}
