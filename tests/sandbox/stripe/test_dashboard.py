"""A person at Stripe's Dashboard: what they do is so, is told of, and names no request."""

from datetime import timedelta
from typing import Any

import httpx
import pytest
import stripe

from tests.sandbox.stripe.conftest import SECRET, Receiver, Stage


async def latest_event(stage: Stage) -> stripe.Event:
    return (await stage.client.v1.events.list_async({"limit": 1})).data[0]


@pytest.mark.parametrize(
    ("act", "status", "event"),
    [("void", "void", "invoice.voided"), ("pay_out_of_band", "paid", "invoice.payment_succeeded")],
)
async def test_an_open_invoice_is_ended(stage: Stage, act: str, status: str, event: str) -> None:
    invoice = await stage.an_open_invoice(500)
    await stage.order(dashboard={"act": act, "invoice": invoice.id})

    assert (await stage.fetched(invoice)).status == status
    latest = await latest_event(stage)
    assert (latest.type, latest.request and latest.request.id) == (event, None)


async def test_a_line_of_a_draft_is_changed(stage: Stage) -> None:
    draft = await stage.a_draft(500, 300)
    oldest = draft.lines.data[-1]
    await stage.order(dashboard={"act": "change_line", "invoice": draft.id, "amount": 7})
    changed = {"act": "change_line", "invoice": draft.id, "amount": 1, "line": oldest.id}
    await stage.order(dashboard=changed)

    lines = (await stage.fetched(draft)).lines.data
    assert [line.amount for line in lines] == [7, 1]


async def test_metadata_is_removed_from_a_final_invoice_and_a_draft_is_deleted(
    stage: Stage,
) -> None:
    invoice = await stage.an_open_invoice(500, metadata={"invoice_id": "1"})
    await stage.order(dashboard={"act": "remove_metadata", "invoice": invoice.id})
    fetched = await stage.fetched(invoice)
    assert fetched.metadata is not None
    assert fetched.metadata.to_dict() == {}

    draft = await stage.a_draft(500)
    await stage.order(dashboard={"act": "delete_draft", "invoice": draft.id})
    with pytest.raises(stripe.InvalidRequestError, match="No such invoice"):
        await stage.fetched(draft)


async def test_a_refund_by_hand_is_of_all_that_is_left(stage: Stage) -> None:
    invoice = await stage.an_open_invoice(500)
    await stage.pass_time(seconds=5)
    await stage.order(dashboard={"act": "refund", "invoice": invoice.id, "amount": 100})
    await stage.order(dashboard={"act": "refund", "invoice": invoice.id})
    assert [x.amount for x in (await stage.client.v1.refunds.list_async()).data] == [400, 100]


async def test_what_stripe_would_refuse_is_refused_here_and_changes_nothing(stage: Stage) -> None:
    draft = await stage.a_draft(500)
    acts: list[dict[str, Any]] = [
        {"act": "void", "invoice": draft.id},
        {"act": "void", "invoice": "in_x"},
        {"act": "dispute", "invoice": draft.id},
        {"act": "refund", "invoice": draft.id},
        {"act": "close_dispute", "dispute": "dp_x"},
        {"act": "resend", "event": "evt_x"},
        {"act": "roll_secret", "endpoint": "we_x", "secret": "whsec_x"},
        {"act": "burn", "invoice": draft.id},
    ]
    async with httpx.AsyncClient(base_url=stage.url) as door:
        for act in acts:
            answer = await door.post("/_control", json={"dashboard": act, "down": True})
            assert answer.status_code == 400, act
    assert stage.world.chaos.switches == {}
    assert (await stage.fetched(draft)).to_dict() == draft.to_dict()


async def test_an_event_is_sent_again_by_hand(stage: Stage, receiver: Receiver) -> None:
    await stage.a_customer()
    await stage.pass_time(seconds=0)
    event = await latest_event(stage)
    await stage.order(dashboard={"act": "resend", "event": event.id})
    await stage.pass_time(seconds=0)
    await stage.pass_time(days=3)

    first, again = receiver.arrived
    assert b'"pending_webhooks":1' in first[0]
    assert stage.client.construct_event_without_verification(again[0]).id == event.id
    assert (await stage.client.v1.events.retrieve_async(event.id)).pending_webhooks == 0


async def test_a_rolled_secret_signs_beside_the_old_one_for_a_day(
    stage: Stage, receiver: Receiver
) -> None:
    (endpoint,) = stage.world.postbox.endpoints
    rolled = {"act": "roll_secret", "endpoint": endpoint.id, "secret": "whsec_new"}
    await stage.order(dashboard=rolled)

    async def verified(secret: str) -> bool:
        receiver.arrived.clear()
        await stage.a_customer()
        await stage.pass_time(seconds=0)
        ((payload, signature),) = receiver.arrived
        try:
            stripe.WebhookSignature.verify_header(payload, signature, secret)
        except stripe.SignatureVerificationError:
            return False
        return True

    assert await verified(SECRET)
    assert await verified("whsec_new")
    stage.clock.advance(timedelta(days=1))
    assert await verified("whsec_new")
    assert not await verified(SECRET)
