"""Money given back and taken back, and the way from it to the invoice."""

from typing import Any

import pytest
import stripe

from tests.sandbox.stripe.conftest import Stage


async def a_charge(stage: Stage, *amounts: int) -> tuple[stripe.Invoice, str]:
    """A paid invoice and its payment intent."""
    invoice = await stage.an_open_invoice(*amounts)
    await stage.pass_time(seconds=5)
    payments = await stage.client.v1.invoice_payments.list_async({"invoice": invoice.id})
    (payment,) = payments.data
    assert (payment.status, payment.amount_paid) == ("paid", sum(amounts))
    assert isinstance(payment.payment.payment_intent, str)
    return invoice, payment.payment.payment_intent


async def test_a_refund_in_parts_until_nothing_is_left(stage: Stage) -> None:
    invoice, intent = await a_charge(stage, 700)
    refunds = stage.client.v1.refunds
    part = await refunds.create_async({"payment_intent": intent, "amount": 200})
    assert isinstance(part.charge, str)
    charge = await stage.client.v1.charges.retrieve_async(part.charge)
    assert (charge.amount, charge.amount_refunded, charge.refunded) == (700, 200, False)

    with pytest.raises(stripe.InvalidRequestError) as much:
        await refunds.create_async({"charge": part.charge, "amount": 501})
    assert much.value.param == "amount"
    rest = await refunds.create_async({"charge": part.charge, "reason": "duplicate"})
    assert (rest.amount, rest.reason) == (500, "duplicate")
    with pytest.raises(stripe.InvalidRequestError) as gone:
        await refunds.create_async({"charge": part.charge})
    assert gone.value.code == "charge_already_refunded"

    assert (await stage.client.v1.charges.retrieve_async(part.charge)).refunded
    assert (await stage.fetched(invoice)).status == "paid"
    assert (await refunds.retrieve_async(rest.id)).to_dict() == rest.to_dict()
    _, other_intent = await a_charge(stage, 900)
    await refunds.create_async({"payment_intent": other_intent, "amount": 1})
    listed = await refunds.list_async({"payment_intent": intent})
    assert [each.id for each in listed.data] == [rest.id, part.id]
    assert len((await refunds.list_async({"limit": 2})).data) == 2
    assert (await stage.event_types()).count("charge.refunded") == 3


async def test_a_credit_notes_refund_is_one_like_any_other(stage: Stage) -> None:
    invoice, intent = await a_charge(stage, 700)
    note = await stage.client.v1.credit_notes.create_async(
        {"invoice": invoice.id, "amount": 300, "refund_amount": 300}
    )
    (listed,) = (await stage.client.v1.refunds.list_async({"payment_intent": intent})).data
    assert note.refunds[0].refund == listed.id
    with pytest.raises(stripe.InvalidRequestError):
        await stage.client.v1.refunds.create_async({"payment_intent": intent, "amount": 401})


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        ({}, None),
        ({"charge": "ch_x"}, "resource_missing"),
        ({"charge": "in_x"}, "resource_missing"),
    ],
)
async def test_what_was_not_charged_cannot_be_refunded(
    stage: Stage, wanted: Any, code: str | None
) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await stage.client.v1.refunds.create_async(wanted)
    assert refused.value.code == code


async def test_money_of_another_way_has_no_charge(stage: Stage) -> None:
    invoice = await stage.an_open_invoice(700)
    await stage.client.v1.invoices.pay_async(invoice.id, {"paid_out_of_band": True})
    payments = await stage.client.v1.invoice_payments.list_async({"invoice": invoice.id})
    assert payments.data == []
    tail = invoice.id.removeprefix("in_")
    with pytest.raises(stripe.InvalidRequestError, match="No such charge"):
        await stage.client.v1.charges.retrieve_async(f"ch_{tail}")


async def test_a_dispute_is_opened_by_hand_and_decided_by_the_bank(stage: Stage) -> None:
    _, intent = await a_charge(stage, 700)
    found = await stage.client.v1.invoice_payments.list_async(
        {"payment": {"type": "payment_intent", "payment_intent": intent}}
    )
    invoice_id = found.data[0].invoice
    state = await stage.order(dashboard={"act": "dispute", "invoice": invoice_id, "amount": 500})

    ((dispute_id, status),) = state["disputes"].items()
    assert status == "needs_response"
    disputes = stage.client.v1.disputes
    (dispute,) = (await disputes.list_async({"payment_intent": intent})).data
    assert (dispute.id, dispute.amount, dispute.reason) == (dispute_id, 500, "fraudulent")
    assert isinstance(dispute.charge, str)
    assert (await stage.client.v1.charges.retrieve_async(dispute.charge)).disputed

    await stage.order(dashboard={"act": "close_dispute", "dispute": dispute_id, "won": True})
    assert (await disputes.retrieve_async(dispute_id)).status == "won"
    assert [name for name in await stage.event_types() if "dispute" in name] == [
        "charge.dispute.created",
        "charge.dispute.funds_withdrawn",
        "charge.dispute.funds_reinstated",
        "charge.dispute.closed",
    ]
