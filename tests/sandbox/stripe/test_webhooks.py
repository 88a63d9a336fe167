"""Webhooks arrive signed, and again until they are answered 2xx."""

import pytest
import stripe

from sandbox.stripe.chaos import Fault, Switch
from sandbox.stripe.webhooks import Endpoint
from tests.sandbox.stripe.conftest import SECRET, Receiver, Stage


def timestamp(signature: str) -> int:
    return int(signature.removeprefix("t=").partition(",")[0])


async def test_events_arrive_signed_and_as_they_are_listed(
    stage: Stage, receiver: Receiver
) -> None:
    customer = await stage.a_customer()
    await stage.pass_time(seconds=0)

    (payload, signature), *others = receiver.arrived
    assert others == []
    assert timestamp(signature) == int(stage.clock.at.timestamp())
    stripe.WebhookSignature.verify_header(payload, signature, SECRET)
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.WebhookSignature.verify_header(payload + b" ", signature, SECRET)
    event = stage.client.construct_event_without_verification(payload)
    assert (event.type, event.data.object.id) == ("customer.created", customer)
    assert (event.api_version, event.livemode) == (stripe.api_version, False)
    assert event.request is not None
    assert (event.pending_webhooks, event.request.idempotency_key is None) == (1, False)
    listed = await stage.client.v1.events.retrieve_async(event.id)
    assert listed.pending_webhooks == 0
    assert listed.data.to_dict() == event.data.to_dict()


async def test_an_update_says_what_was_before(stage: Stage) -> None:
    customer = await stage.a_customer(name="Old")
    await stage.client.v1.customers.update_async(customer, {"name": "New"})

    events = await stage.client.v1.events.list_async({"type": "customer.updated"})
    assert events.data[0].data.previous_attributes is not None
    assert events.data[0].data.previous_attributes.to_dict() == {"name": "Old"}


async def test_a_refused_delivery_is_repeated_with_a_new_signature(
    stage: Stage, receiver: Receiver
) -> None:
    receiver.status = 500
    await stage.a_customer()
    for seconds in (0, 5, 30):
        await stage.pass_time(seconds=seconds)
    receiver.status = 200
    await stage.pass_time(seconds=119)
    assert len(receiver.arrived) == 3
    undelivered = await stage.client.v1.events.list_async({"delivery_success": False})
    assert len(undelivered.data) == 1

    await stage.pass_time(seconds=1)
    await stage.pass_time(days=3)
    assert len(receiver.arrived) == 4
    assert len({payload for payload, _ in receiver.arrived}) == 1
    assert len({timestamp(signature) for _, signature in receiver.arrived}) == 4
    for payload, signature in receiver.arrived:
        stripe.WebhookSignature.verify_header(payload, signature, SECRET)
    undelivered = await stage.client.v1.events.list_async({"delivery_success": False})
    assert undelivered.data == []


async def test_an_unreachable_receiver_is_tried_for_three_days(stage: Stage) -> None:
    stage.world.postbox.endpoints = (Endpoint("http://127.0.0.1:9/hook", (SECRET,)),)
    await stage.a_customer()

    for _ in range(24):
        await stage.pass_time(hours=6)
    records = stage.world.postbox.records
    assert len(records) == 13
    assert {record.outcome for record in records} == {"ConnectError"}
    assert len(stage.world.postbox.outgoing) == 0


async def test_dropped_and_doubled_on_demand(stage: Stage, receiver: Receiver) -> None:
    stage.world.chaos.turn_on(Fault.DROP_WEBHOOK, Switch("invoice.created"))
    stage.world.chaos.turn_on(Fault.DUPLICATE_WEBHOOK, Switch("customer.created", calls=1))
    await stage.a_draft()
    await stage.pass_time(days=3)

    types = [
        stage.client.construct_event_without_verification(payload).type
        for payload, _ in receiver.arrived
    ]
    assert types == ["customer.created", "customer.created"]
    assert await stage.event_types() == ["customer.created", "invoice.created"]


async def test_while_a_secret_is_rolled_either_verifies(stage: Stage, receiver: Receiver) -> None:
    stage.world.postbox.endpoints = (Endpoint(receiver.url, ("whsec_new", "whsec_old")),)
    await stage.a_customer()
    await stage.pass_time(seconds=0)

    ((payload, signature),) = receiver.arrived
    for secret in ("whsec_new", "whsec_old"):
        stripe.WebhookSignature.verify_header(payload, signature, secret)


async def test_an_endpoint_gets_only_what_it_wants(stage: Stage, receiver: Receiver) -> None:
    stage.world.postbox.endpoints = (Endpoint(receiver.url, (SECRET,), ("invoice.paid",)),)
    await stage.an_open_invoice(500)
    await stage.pass_time(seconds=5)

    assert [record.event_type for record in stage.world.postbox.records] == ["invoice.paid"]
