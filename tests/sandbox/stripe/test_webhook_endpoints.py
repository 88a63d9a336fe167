"""Endpoints made by calls: where events go, what they are pinned to, and when they stop."""

from typing import Any

import pytest
import stripe

from tests.sandbox.stripe.conftest import Receiver, Stage

OLD_VERSION: Any = "2024-06-20"


async def an_endpoint(stage: Stage, url: str, **wanted: Any) -> stripe.WebhookEndpoint:
    details: Any = {"url": url, "enabled_events": ["*"], **wanted}
    return await stage.client.v1.webhook_endpoints.create_async(details)


async def test_one_is_made_read_changed_and_deleted(stage: Stage) -> None:
    endpoints = stage.client.v1.webhook_endpoints
    made = await an_endpoint(
        stage, "https://a.example/hook", enabled_events=["invoice.paid"], metadata={"for": "us"}
    )
    assert made.secret is not None
    assert made.secret.startswith("whsec_")

    read = await endpoints.retrieve_async(made.id)
    assert read.to_dict() == {k: v for k, v in made.to_dict().items() if k != "secret"}
    changed = await endpoints.update_async(
        made.id, {"enabled_events": ["invoice.voided"], "disabled": True, "metadata": {"for": ""}}
    )
    assert (changed.enabled_events, changed.status) == (["invoice.voided"], "disabled")
    assert changed.metadata.to_dict() == {}
    assert (await endpoints.update_async(made.id, {"disabled": False})).status == "enabled"

    newer = await an_endpoint(stage, "https://b.example/hook")
    listed = await endpoints.list_async()
    assert [each.id for each in listed.data] == [newer.id, made.id]
    await endpoints.delete_async(made.id)
    assert [each.id for each in (await endpoints.list_async()).data] == [newer.id]
    with pytest.raises(stripe.InvalidRequestError, match="No such webhook endpoint"):
        await endpoints.retrieve_async(made.id)


@pytest.mark.parametrize(
    "wrong", [{"url": "nowhere"}, {"enabled_events": ["invoice.eaten"]}, {"api_version": "1999"}]
)
async def test_what_makes_no_endpoint_is_refused(stage: Stage, wrong: dict[str, Any]) -> None:
    with pytest.raises(stripe.InvalidRequestError):
        await an_endpoint(stage, **({"url": "https://a.example"} | wrong))
    assert stage.world.postbox.endpoints == ()


async def test_it_is_sent_what_it_wants_in_its_version_signed_with_its_secret(
    stage: Stage, receiver: Receiver
) -> None:
    stage.world.postbox.endpoints = ()
    made = await an_endpoint(
        stage, receiver.url, enabled_events=["customer.created"], api_version=OLD_VERSION
    )
    await stage.a_draft()
    await stage.pass_time(seconds=0)

    ((payload, signature),) = receiver.arrived
    assert made.secret is not None
    stripe.WebhookSignature.verify_header(payload, signature, made.secret)
    event = stage.client.construct_event_without_verification(payload)
    assert (event.type, event.api_version) == ("customer.created", OLD_VERSION)
    assert (await stage.client.v1.events.retrieve_async(event.id)).api_version == stripe.api_version


@pytest.mark.parametrize("act", ["disabled", "deleted"])
async def test_nothing_more_is_sent_nor_retried_once_it_is_off(
    stage: Stage, receiver: Receiver, act: str
) -> None:
    stage.world.postbox.endpoints = ()
    made = await an_endpoint(stage, receiver.url)
    receiver.status = 500
    await stage.a_customer()
    await stage.pass_time(seconds=0)
    assert len(receiver.arrived) == 1

    if act == "disabled":
        await stage.client.v1.webhook_endpoints.update_async(made.id, {"disabled": True})
    else:
        await stage.client.v1.webhook_endpoints.delete_async(made.id)
    await stage.a_customer()
    await stage.pass_time(days=3)
    assert len(receiver.arrived) == 1


async def test_one_of_the_control_door_is_listed_as_well(stage: Stage, receiver: Receiver) -> None:
    (listed,) = (await stage.client.v1.webhook_endpoints.list_async()).data
    assert (listed.url, listed.status) == (receiver.url, "enabled")
    assert (await stage.client.v1.webhook_endpoints.retrieve_async(listed.id)).id == listed.id
