"""Faults of answers and of events that a caller sees over HTTP."""

import httpx
import pytest
import stripe

from sandbox.stripe.chaos import Fault, Switch
from tests.sandbox.stripe.conftest import Receiver, Stage

CUSTOMERS = "POST /v1/customers"


async def test_an_answer_cut_mid_body_is_of_a_change_that_is_saved(stage: Stage) -> None:
    async with httpx.AsyncClient(base_url=stage.url, auth=("sk_test_x", "")) as client:
        stage.world.chaos.turn_on(Fault.CUT_MID_BODY, Switch(calls=1))
        headers = {"Idempotency-Key": "k"}
        async with client.stream("POST", "/v1/customers", headers=headers) as answer:
            assert answer.status_code == 200
            with pytest.raises(httpx.RemoteProtocolError, match="complete message body"):
                await answer.aread()
        assert len(stage.world.customers) == 1
        again = await client.post("/v1/customers", headers=headers)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert len(stage.world.customers) == 1


async def test_the_sdk_sees_a_cut_answer_as_a_lost_connection(stage: Stage) -> None:
    await stage.order(cut_mid_body={"operation": CUSTOMERS, "calls": 1})
    with pytest.raises(stripe.APIConnectionError):
        await stage.a_customer()
    await stage.a_customer()
    assert len(stage.world.customers) == 2


async def test_a_storm_of_429_passes_with_its_calls(stage: Stage) -> None:
    await stage.order(rate_limit={"calls": 3, "reason": "global-concurrency"})
    for _ in range(3):
        with pytest.raises(stripe.RateLimitError):
            await stage.client.v1.customers.list_async()
    await stage.client.v1.customers.list_async()


async def test_a_hidden_event_is_neither_sent_nor_listed(stage: Stage, receiver: Receiver) -> None:
    await stage.order(hide_event={"operation": "invoice.finalized"})
    invoice = await stage.an_open_invoice(500)
    await stage.pass_time(days=3)

    assert (await stage.fetched(invoice)).status == "paid"
    assert "invoice.finalized" not in await stage.event_types()
    thin = await stage.client.v2.core.events.list_async({"types": ["v1.invoice.finalized"]})
    assert thin.data == []
    arrived = [
        stage.client.construct_event_without_verification(payload).type
        for payload, _ in receiver.arrived
    ]
    assert "invoice.paid" in arrived
    assert "invoice.finalized" not in arrived


async def test_a_webhook_can_overtake_the_answer_it_is_of(stage: Stage, receiver: Receiver) -> None:
    await stage.order(webhooks_first={"operation": CUSTOMERS, "calls": 1})
    customer = await stage.a_customer()
    ((payload, _),) = receiver.arrived  # no time has passed, and nothing was asked to be due
    told = stage.client.construct_event_without_verification(payload)
    assert told.data.object.id == customer
    await stage.a_customer()
    assert len(receiver.arrived) == 1


async def test_a_delayed_webhook_comes_later_and_a_duplicate_twice(
    stage: Stage, receiver: Receiver
) -> None:
    await stage.order(
        delay_webhook={"calls": 1, "delay_ms": 60_000}, duplicate_webhook={"calls": 1}
    )
    await stage.a_customer()
    await stage.pass_time(seconds=59)
    assert receiver.arrived == []
    await stage.pass_time(seconds=1)
    assert len({payload for payload, _ in receiver.arrived}) == 1
    assert len(receiver.arrived) == 2


async def test_reordered_webhooks_go_out_newest_first(stage: Stage, receiver: Receiver) -> None:
    await stage.order(reorder_webhook=True)
    await stage.an_open_invoice(500)
    newest_first = list(reversed(await stage.event_types()))

    outgoing, sent = stage.world.postbox.outgoing, []
    while (delivery := outgoing.pop_due(int(stage.clock.at.timestamp()))) is not None:
        sent.append(delivery.event.type)
    assert sent == newest_first
    assert sent[0] == "invoice.finalized"
