"""Stripe is told of a credit note once, whatever happens on the way."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import cast

import pytest
from sqlalchemy import func, select

from billing.credit_notes import (
    push_credit_notes_due,
    retry_credit_note,
)
from billing.errors import Conflict, NotFound
from billing.invoice_sync import push_due
from billing.models import (
    CreditNote,
    CreditNoteKind,
    CreditNoteState,
    InvoiceStatus,
    SyncState,
)
from billing.runtime import Runtime
from billing.stripe_protocol import Stripe
from sandbox.stripe.app import FakeStripe
from sandbox.stripe.chaos import Fault, Switch
from sandbox.stripe.records import Status
from tests.billing.crediting import (
    CREATE_NOTE,
    REFUND,
    a_paid_invoice,
    credit,
    heard,
    note_of,
    there,
    until_sent,
)
from tests.billing.dying import Crash, Dying
from tests.billing.pushing import an_issued_invoice, held
from tests.billing.test_push_doubts import through
from tests.billing.test_stripe_events import a_pushed_invoice, pay
from tests.billing.voiding import stored
from tests.world import Clock


async def test_it_waits_until_stripe_has_the_invoice(connected: Runtime, fake: FakeStripe) -> None:
    invoice_id = await an_issued_invoice(connected)
    note = await credit(connected, invoice_id, "34.94")
    assert await push_credit_notes_due(connected) == 0
    assert (await note_of(connected, note.number)).state is CreditNoteState.PENDING

    await push_due(connected)
    assert (await stored(connected, invoice_id))[1].state is SyncState.PUSHED
    await push_credit_notes_due(connected)
    assert (await note_of(connected, note.number)).state is CreditNoteState.SENT
    assert held(fake)[0].status is Status.PAID


async def test_what_is_paid_before_stripe_hears_of_it_is_refunded(
    connected: Runtime, fake: FakeStripe, clock: Clock
) -> None:
    invoice_id, stripe_id = await a_pushed_invoice(connected)
    note = await credit(connected, invoice_id, "34.94")
    await pay(fake, clock)
    sent = await until_sent(connected, clock, note.number)
    await heard(connected, stripe_id)

    assert (sent.state, sent.kind) == (CreditNoteState.SENT, REFUND)
    assert [x.ways["refund_amount"] for x in there(fake)] == [3494]
    invoice, _ = await stored(connected, invoice_id)
    assert (invoice.status, invoice.settled_by) == (InvoiceStatus.PAID, None)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at", [1, 2])
@pytest.mark.parametrize("hours", [0, 25])
@pytest.mark.parametrize("amount", ["4.94", "34.94"])
async def test_a_worker_may_die_at_any_call(
    connected: Runtime,
    fake: FakeStripe,
    clock: Clock,
    at: int,
    after: bool,
    hours: int,
    amount: str,
) -> None:
    """Also where the note itself has paid the invoice before its answer was lost."""
    invoice_id, _ = await a_pushed_invoice(connected)
    note = await credit(connected, invoice_id, amount)
    dying = replace(connected, stripe=cast(Stripe, Dying(connected.stripe, at, after=after)))
    with pytest.raises(Crash):
        await push_credit_notes_due(dying)
    assert await push_credit_notes_due(connected) == 0, "its lease has not run out"

    clock.advance(timedelta(hours=hours, minutes=6))
    sent = await until_sent(connected, clock, note.number)
    assert (sent.state, sent.kind) == (CreditNoteState.SENT, CreditNoteKind.REDUCTION)
    assert [x.amount for x in there(fake)] == [note.amount_minor]


@pytest.mark.parametrize(
    "fault", [Fault.DOWN, Fault.ERROR_AFTER_COMMIT, Fault.ERROR_BEFORE_COMMIT, Fault.RATE_LIMIT]
)
async def test_while_stripe_fails_it_is_tried_again_and_sent_once(
    connected: Runtime, fake: FakeStripe, clock: Clock, fault: Fault
) -> None:
    invoice_id = await a_paid_invoice(connected, fake, clock)
    note = await credit(connected, invoice_id, "4.94", kind=REFUND)
    fake.world.chaos.turn_on(fault, Switch(calls=1, operation=CREATE_NOTE))
    await push_credit_notes_due(connected)
    waiting = await note_of(connected, note.number)
    assert waiting.state is CreditNoteState.PENDING
    assert waiting.attempts == (fault is not Fault.RATE_LIMIT)

    sent = await until_sent(connected, clock, note.number)
    assert (sent.state, sent.error_code) == (CreditNoteState.SENT, None)
    assert [x.amount for x in there(fake)] == [494]


async def test_what_stripe_refuses_is_for_staff_who_try_it_again(
    connected: Runtime, fake: FakeStripe, clock: Clock
) -> None:
    invoice_id = await a_paid_invoice(connected, fake, clock)
    note = await credit(connected, invoice_id, "4.94", kind=REFUND)
    [record] = held(fake)
    record.paid_out_of_band = True
    await push_credit_notes_due(connected)
    refused = await note_of(connected, note.number)
    assert (refused.state, refused.error_code) == (CreditNoteState.FAILED, "STRIPE_REFUSED")
    assert "larger than what was charged" in str(refused.error_message)
    assert await push_credit_notes_due(connected) == 0

    record.paid_out_of_band = False
    async with connected.sessions.begin() as session:
        await retry_credit_note(session, note.number, actor="cli", now=clock.at)
    assert (await until_sent(connected, clock, note.number)).state is CreditNoteState.SENT
    with pytest.raises(Conflict, match="only a failed one"):
        async with connected.sessions.begin() as session:
            await retry_credit_note(session, note.number, actor="cli", now=clock.at)
    with pytest.raises(NotFound):
        async with connected.sessions.begin() as session:
            await retry_credit_note(session, "NOBODY-CN-0001", actor="cli", now=clock.at)


async def test_two_workers_share_the_work(connected: Runtime, fake: FakeStripe) -> None:
    invoice_ids = [(await a_pushed_invoice(connected))[0] for _ in range(4)]
    for invoice_id in invoice_ids:
        await credit(connected, invoice_id, "4.94")
    await asyncio.gather(*(push_credit_notes_due(connected) for _ in range(3)))

    assert [x.amount for x in there(fake)] == [494] * 4
    async with connected.sessions() as session:
        sent = await session.scalar(
            select(func.count()).where(CreditNote.state == CreditNoteState.SENT)
        )
    assert sent == 4


async def test_one_that_was_void_in_stripe_meanwhile_needs_no_sending(
    connected: Runtime, fake: FakeStripe
) -> None:
    invoice_id, stripe_id = await a_pushed_invoice(connected)
    note = await credit(connected, invoice_id, "4.94")
    held(fake)[0].status = Status.VOID
    await heard(connected, stripe_id)

    assert (await note_of(connected, note.number)).state is CreditNoteState.NOT_NEEDED


async def test_a_fault_of_ours_waits_alone(
    connected: Runtime, fake: FakeStripe, clock: Clock
) -> None:
    invoice_id, _ = await a_pushed_invoice(connected)
    note = await credit(connected, invoice_id, "4.94")

    async def broken(call: Callable[..., object], *args: object) -> object:
        raise RuntimeError

    await push_credit_notes_due(through(connected, "create_credit_note", broken))
    assert (await note_of(connected, note.number)).error_code == "INTERNAL"
    assert (await until_sent(connected, clock, note.number)).state is CreditNoteState.SENT
