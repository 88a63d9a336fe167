"""Credit notes of the fake: less is due of what is open, money goes back of what is paid."""

import pickle
from typing import Any

import pytest
import stripe

from sandbox.stripe.world import World
from tests.sandbox.stripe.conftest import Stage


async def a_note(stage: Stage, invoice: stripe.Invoice, **wanted: Any) -> stripe.CreditNote:
    details: Any = {"invoice": invoice.id, **wanted}
    return await stage.client.v1.credit_notes.create_async(details)


def amounts(invoice: stripe.Invoice) -> tuple[str | None, int, int, int, int, int]:
    return (
        invoice.status,
        invoice.total,
        invoice.amount_due,
        invoice.amount_remaining,
        invoice.pre_payment_credit_notes_amount,
        invoice.post_payment_credit_notes_amount,
    )


async def test_an_open_invoice_keeps_its_total_and_less_is_due(stage: Stage) -> None:
    invoice = await stage.an_open_invoice(2000, 1000)
    note = await a_note(stage, invoice, amount=1200, memo="sorry", metadata={"ours": "1"})

    assert (note.type, note.pre_payment_amount, note.post_payment_amount) == (
        "pre_payment",
        1200,
        0,
    )
    assert note.number == f"{invoice.number}-CN-01"
    assert amounts(await stage.fetched(invoice)) == ("open", 3000, 1800, 1800, 1200, 0)
    await stage.pass_time(minutes=1)
    paid = await stage.fetched(invoice)
    assert (paid.status, paid.amount_paid, paid.amount_remaining) == ("paid", 1800, 0)


async def test_an_open_invoice_that_is_credited_whole_is_paid(stage: Stage) -> None:
    invoice = await stage.an_open_invoice(3000)
    await a_note(stage, invoice, amount=3000)
    await stage.pass_time(hours=2)

    assert amounts(await stage.fetched(invoice)) == ("paid", 3000, 0, 0, 3000, 0)
    events = await stage.event_types()
    assert [x for x in events if x in {"credit_note.created", "invoice.paid"}] == [
        "credit_note.created",
        "invoice.paid",
    ]
    assert "charge.refunded" not in events


async def test_a_paid_invoice_is_refunded(stage: Stage) -> None:
    invoice = await stage.an_open_invoice(3000)
    await stage.pass_time(minutes=1)
    note = await a_note(stage, invoice, amount=500, refund_amount=500)

    assert [one.amount_refunded for one in note.refunds] == [500]
    assert amounts(await stage.fetched(invoice)) == ("paid", 3000, 3000, 0, 0, 500)
    assert (await stage.event_types())[-2:] == ["refund.created", "charge.refunded"]


async def test_credit_of_a_paid_invoice_is_the_customers(stage: Stage) -> None:
    invoice = await stage.an_open_invoice(3000)
    await stage.pass_time(minutes=1)
    await a_note(stage, invoice, amount=500, credit_amount=300, out_of_band_amount=200)

    assert isinstance(invoice.customer, str)
    customer = await stage.client.v1.customers.retrieve_async(invoice.customer)
    assert customer.balance == -300


@pytest.mark.parametrize(
    ("is_paid", "wanted"),
    [
        (False, {"amount": 3001}),
        (False, {"amount": 0}),
        (False, {"amount": 100, "refund_amount": 100}),
        (True, {"amount": 3001, "refund_amount": 3001}),
        (True, {"amount": 100}),
        (True, {"amount": 100, "refund_amount": 50}),
        (True, {}),
        (True, {"amount": 100, "refund_amount": 100, "wat": 1}),
        (True, {"amount": 100, "refund_amount": 100, "effective_at": 1}),
    ],
)
async def test_what_cannot_be_credited_is_refused(
    stage: Stage, is_paid: bool, wanted: dict[str, Any]
) -> None:
    invoice = await stage.an_open_invoice(3000)
    if is_paid:
        await stage.pass_time(minutes=1)

    with pytest.raises(stripe.InvalidRequestError):
        await a_note(stage, invoice, **wanted)
    assert list(stage.world.credit_notes) == []


async def test_drafts_and_void_invoices_have_none(stage: Stage) -> None:
    draft = await stage.a_draft(3000)
    void = await stage.an_open_invoice(3000)
    await stage.client.v1.invoices.void_invoice_async(void.id)
    for invoice in (draft, void):
        with pytest.raises(stripe.InvalidRequestError, match="open or paid"):
            await a_note(stage, invoice, amount=100)


async def test_they_are_found_by_invoice_and_by_id(stage: Stage) -> None:
    first, second = await stage.an_open_invoice(3000), await stage.an_open_invoice(3000)
    note = await a_note(stage, first, amount=100)
    await a_note(stage, second, amount=100)
    notes = stage.client.v1.credit_notes

    listed = await notes.list_async({"invoice": first.id})
    assert [one.id for one in listed.data] == [note.id]
    assert (await notes.retrieve_async(note.id)).amount == 100
    with pytest.raises(stripe.InvalidRequestError, match="No such credit note"):
        await notes.retrieve_async("cn_nope")


def test_an_account_of_an_older_version_is_still_read() -> None:
    state = {x: getattr(World(), x) for x in World.__slots__ if x != "credit_notes"}
    old = World.__new__(World)
    old.__setstate__((None, state | {"base_url": "http://127.0.0.1:1"}))

    assert list(old.credit_notes) == []
    assert pickle.loads(pickle.dumps(old)).base_url == "http://127.0.0.1:1"
