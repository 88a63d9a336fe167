"""Credit notes: never more than is left, told to Stripe once, whatever happens on the way."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import cast

import pytest
from sqlalchemy import func, select

from billing.credit_notes import (
    CreditNoteTooLarge,
    NewCreditNote,
    NotCreditable,
    corrections_of,
    create_credit_note,
    push_credit_notes_due,
    retry_credit_note,
)
from billing.errors import Conflict, IdempotencyConflict, Invalid, NotFound
from billing.ids import InvoiceId
from billing.invoice_sync import push_due
from billing.models import (
    CreditEntry,
    CreditNote,
    CreditNoteKind,
    CreditNoteState,
    EntryKind,
    InvoiceStatus,
    SyncState,
)
from billing.rules.invoicing import Settlement
from billing.runtime import Runtime
from billing.stripe_events import handle_due
from billing.stripe_protocol import Stripe
from billing.voiding import HasCreditNotes
from sandbox.stripe.app import FakeStripe
from sandbox.stripe.chaos import Fault, Switch
from sandbox.stripe.records import CreditNote as StripeNote
from sandbox.stripe.records import Status
from tests.billing.pushing import an_issued_invoice, held
from tests.billing.test_push_crashes import Crash, Dying
from tests.billing.test_push_doubts import through
from tests.billing.test_stripe_events import a_pushed_invoice, hear, pay, told
from tests.billing.voiding import org_of, stored, void
from tests.world import Clock

CREATE_NOTE = "POST /v1/credit_notes"
REFUND, BALANCE = CreditNoteKind.REFUND, CreditNoteKind.BALANCE


async def credit(
    runtime: Runtime,
    invoice_id: InvoiceId,
    amount: str,
    key: str = "k1",
    *,
    kind: CreditNoteKind | None = None,
    reason: str = "Sorry",
) -> CreditNote:
    org, number = await org_of(runtime, invoice_id)
    wanted = NewCreditNote(Decimal(amount), reason, key, kind)
    async with runtime.sessions.begin() as session:
        return await create_credit_note(
            session, org, number, wanted, actor="test", now=await runtime.now()
        )


async def a_paid_invoice(runtime: Runtime, fake: FakeStripe, clock: Clock) -> InvoiceId:
    invoice_id, stripe_id = await a_pushed_invoice(runtime)
    await pay(fake, clock)
    await hear(runtime, told("invoice.paid", stripe_id))
    await handle_due(runtime)
    return invoice_id


async def heard(runtime: Runtime, stripe_id: str) -> None:
    await hear(runtime, told("invoice.updated", stripe_id))
    await handle_due(runtime)


async def note_of(runtime: Runtime, number: str) -> CreditNote:
    async with runtime.sessions() as session:
        note = await session.scalar(select(CreditNote).where(CreditNote.number == number))
    assert note is not None, number
    return note


async def due(runtime: Runtime, invoice_id: InvoiceId) -> int:
    invoice, _ = await stored(runtime, invoice_id)
    async with runtime.sessions() as session:
        return (await corrections_of(session, invoice)).amount_due(invoice).minor


def there(fake: FakeStripe) -> list[StripeNote]:
    return list(fake.world.credit_notes)


async def until_sent(runtime: Runtime, clock: Clock, number: str) -> CreditNote:
    for _ in range(30):
        await push_credit_notes_due(runtime)
        note = await note_of(runtime, number)
        if note.state is not CreditNoteState.PENDING:
            return note
        clock.at = max(clock.at, note.next_attempt_at)
    raise AssertionError(note.error_message)


async def test_an_open_invoice_is_reduced_and_keeps_its_total(
    connected: Runtime, fake: FakeStripe
) -> None:
    invoice_id, stripe_id = await a_pushed_invoice(connected)
    note = await credit(connected, invoice_id, "4.94")
    assert (note.number.rpartition("-CN-")[2], note.kind, note.state) == (
        "0001",
        CreditNoteKind.REDUCTION,
        CreditNoteState.PENDING,
    )
    assert await due(connected, invoice_id) == 3000

    await push_credit_notes_due(connected)
    sent = await note_of(connected, note.number)
    [theirs] = there(fake)
    assert (sent.state, sent.stripe_credit_note_id) == (CreditNoteState.SENT, theirs.id)
    assert (theirs.amount, theirs.metadata["number"]) == (494, note.number)
    await heard(connected, stripe_id)
    invoice, sync = await stored(connected, invoice_id)
    assert (invoice.status, invoice.total_minor, sync.state) == (
        InvoiceStatus.OPEN,
        3494,
        SyncState.PUSHED,
    )
    assert held(fake)[0].amount_due == 3000


async def test_one_that_is_reduced_to_nothing_is_paid_by_its_credit_note(
    connected: Runtime, fake: FakeStripe, clock: Clock
) -> None:
    invoice_id, stripe_id = await a_pushed_invoice(connected)
    await credit(connected, invoice_id, "20", "k1")
    note = await credit(connected, invoice_id, "14.94", "k2")
    await heard(connected, stripe_id)
    invoice, _ = await stored(connected, invoice_id)
    assert (invoice.status, invoice.settled_by) == (InvoiceStatus.PAID, Settlement.CREDIT_NOTE)

    await until_sent(connected, clock, note.number)
    await heard(connected, stripe_id)
    invoice, sync = await stored(connected, invoice_id)
    assert (invoice.status, invoice.settled_by, sync.state) == (
        InvoiceStatus.PAID,
        Settlement.CREDIT_NOTE,
        SyncState.PUSHED,
    )
    assert [x.status for x in held(fake)] == [Status.PAID]
    assert sorted(x.amount for x in there(fake)) == [1494, 2000]
    await pay(fake, clock)
    assert held(fake)[0].amount_paid == 0


async def test_a_paid_invoice_is_refunded_by_stripe(
    connected: Runtime, fake: FakeStripe, clock: Clock
) -> None:
    invoice_id = await a_paid_invoice(connected, fake, clock)
    note = await credit(connected, invoice_id, "4.94", kind=REFUND)
    await until_sent(connected, clock, note.number)

    assert [x.ways["refund_amount"] for x in there(fake)] == [494]
    invoice, _ = await stored(connected, invoice_id)
    assert (invoice.status, await due(connected, invoice_id)) == (InvoiceStatus.PAID, 0)


async def test_or_credited_to_our_own_balance_which_stripe_is_not_told(
    connected: Runtime, fake: FakeStripe, clock: Clock
) -> None:
    invoice_id = await a_paid_invoice(connected, fake, clock)
    note = await credit(connected, invoice_id, "4.94", kind=BALANCE)
    assert await push_credit_notes_due(connected) == 0

    assert (note.state, there(fake)) == (CreditNoteState.NOT_NEEDED, [])
    async with connected.sessions() as session:
        [entry] = await session.scalars(select(CreditEntry))
    assert (entry.kind, entry.amount_minor, entry.grant_id, entry.credit_note_id) == (
        EntryKind.CREDIT_NOTE,
        494,
        None,
        note.id,
    )


async def test_never_more_than_what_is_left(
    connected: Runtime, fake: FakeStripe, clock: Clock
) -> None:
    invoice_id = await a_paid_invoice(connected, fake, clock)
    await credit(connected, invoice_id, "30", "k1", kind=REFUND)
    with pytest.raises(CreditNoteTooLarge, match=r"4\.94 USD is left"):
        await credit(connected, invoice_id, "4.95", "k2", kind=BALANCE)
    await credit(connected, invoice_id, "4.94", "k2", kind=BALANCE)
    with pytest.raises(CreditNoteTooLarge):
        await credit(connected, invoice_id, "0.01", "k3", kind=REFUND)


async def test_many_at_once_never_give_more_and_are_numbered_without_gaps(
    connected: Runtime,
) -> None:
    invoice_id = await an_issued_invoice(connected)
    wanted = [credit(connected, invoice_id, "10", f"k{n}") for n in range(8)]
    made = await asyncio.gather(*wanted, return_exceptions=True)

    assert sum(isinstance(x, CreditNoteTooLarge) for x in made) == 5
    numbers = sorted(x.number.rpartition("-")[2] for x in made if isinstance(x, CreditNote))
    assert numbers == ["0001", "0002", "0003"]


async def test_the_same_key_credits_once(connected: Runtime) -> None:
    invoice_id = await an_issued_invoice(connected)
    made = await asyncio.gather(*(credit(connected, invoice_id, "1") for _ in range(4)))
    assert len({note.id for note in made}) == 1
    for amount, reason in (("2", "Sorry"), ("1", "Other")):
        with pytest.raises(IdempotencyConflict, match="CN-0001"):
            await credit(connected, invoice_id, amount, reason=reason)


@pytest.mark.parametrize(
    ("amount", "reason", "key", "kind", "code"),
    [
        ("0", "x", "k", None, "INVALID_AMOUNT"),
        ("-1", "x", "k", None, "INVALID_AMOUNT"),
        ("0.001", "x", "k", None, "INVALID_AMOUNT"),
        ("1", " ", "k", None, "INVALID_REASON"),
        ("1", "x" * 501, "k", None, "INVALID_REASON"),
        ("1", "x", "", None, "INVALID_IDEMPOTENCY_KEY"),
        ("34.84", "x", "k", None, "LEAVES_TOO_LITTLE"),
        ("1", "x", "k", REFUND, "NOT_CREDITABLE"),
        ("1", "x", "k", BALANCE, "NOT_CREDITABLE"),
    ],
)
async def test_bad_input_is_refused(
    connected: Runtime, amount: str, reason: str, key: str, kind: CreditNoteKind | None, code: str
) -> None:
    invoice_id = await an_issued_invoice(connected)
    with pytest.raises((Invalid, Conflict)) as refused:
        await credit(connected, invoice_id, amount, key, kind=kind, reason=reason)
    assert refused.value.code == code


async def test_a_paid_one_must_be_told_how_and_a_void_one_has_none(
    connected: Runtime, fake: FakeStripe, clock: Clock
) -> None:
    paid = await a_paid_invoice(connected, fake, clock)
    for kind in (None, CreditNoteKind.REDUCTION):
        with pytest.raises(NotCreditable, match="REFUND"):
            await credit(connected, paid, "1", kind=kind)
    voided = await an_issued_invoice(connected)
    await void(connected, voided)
    with pytest.raises(NotCreditable, match="VOID"):
        await credit(connected, voided, "1")
    org, _ = await org_of(connected, paid)
    _, number = await org_of(connected, voided)
    wanted = NewCreditNote(Decimal(1), "x", "k")
    with pytest.raises(NotFound):
        async with connected.sessions.begin() as session:
            await create_credit_note(session, org, number, wanted, actor="test", now=clock.at)


async def test_an_invoice_with_credit_notes_is_not_voided(connected: Runtime) -> None:
    invoice_id = await an_issued_invoice(connected)
    await credit(connected, invoice_id, "1")
    with pytest.raises(HasCreditNotes):
        await void(connected, invoice_id)


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
