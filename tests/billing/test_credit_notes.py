"""Credit notes: never more than is left, and where the money goes."""

import asyncio
from decimal import Decimal

import pytest
from sqlalchemy import select

from billing.credit_notes import (
    CreditNoteTooLarge,
    NewCreditNote,
    NotCreditable,
    create_credit_note,
    push_credit_notes_due,
)
from billing.errors import Conflict, IdempotencyConflict, Invalid, NotFound
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
from billing.voiding import HasCreditNotes
from sandbox.stripe.app import FakeStripe
from sandbox.stripe.records import Status
from tests.billing.crediting import (
    BALANCE,
    REFUND,
    a_paid_invoice,
    credit,
    due,
    heard,
    note_of,
    there,
    until_sent,
)
from tests.billing.pushing import an_issued_invoice, held
from tests.billing.test_stripe_events import a_pushed_invoice, pay
from tests.billing.voiding import org_of, stored, void
from tests.world import Clock


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
