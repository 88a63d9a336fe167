"""Thin events: notified, fetched and listed, by the SDK's own means."""

from datetime import timedelta
from typing import Any

import pytest
import stripe
from stripe.events import V1InvoiceFinalizedEventNotification

from sandbox.stripe.event_body import iso
from sandbox.stripe.webhooks import Endpoint
from tests.sandbox.stripe.conftest import SECRET, Receiver, Stage


async def test_a_notification_names_what_can_then_be_fetched(
    stage: Stage, receiver: Receiver
) -> None:
    stage.world.postbox.endpoints = (
        Endpoint(receiver.url, (SECRET,), ("v1.invoice.finalized",), payload="thin"),
    )
    invoice = await stage.an_open_invoice(500)
    await stage.pass_time(seconds=0)

    ((payload, signature),) = receiver.arrived
    notified = stage.client.parse_event_notification(payload, signature, SECRET, tolerance=0)
    assert isinstance(notified, V1InvoiceFinalizedEventNotification)
    assert b'"total"' not in payload
    fetched = await notified.fetch_related_object_async()
    assert (fetched.id, fetched.status) == (invoice.id, "open")
    event = await notified.fetch_event_async()
    assert (event.id, event.type) == (notified.id, "v1.invoice.finalized")
    assert event.snapshot_event is not None
    snapshot = await stage.client.v1.events.retrieve_async(event.snapshot_event)
    assert (snapshot.type, snapshot.data.object.id) == ("invoice.finalized", invoice.id)


async def test_snapshot_and_thin_tell_of_everything_side_by_side(
    stage: Stage, receiver: Receiver
) -> None:
    stage.world.postbox.endpoints = (
        Endpoint(receiver.url, (SECRET,)),
        Endpoint(receiver.url, (SECRET,), payload="thin"),
    )
    await stage.a_customer()
    await stage.pass_time(seconds=0)
    assert sorted(b"v2.core.event" in payload for payload, _ in receiver.arrived) == [False, True]


async def test_pages_of_thin_events_lead_to_each_other(stage: Stage) -> None:
    for _ in range(5):
        await stage.a_customer()
    stage.clock.advance(timedelta(seconds=1))
    await stage.a_draft(500)
    events = stage.client.v2.core.events

    everything = [event.type async for event in (await events.list_async()).auto_paging_iter()]
    paged = await events.list_async({"limit": 2})
    assert [event.type async for event in paged.auto_paging_iter()] == everything
    assert everything[:3] == ["v1.invoice.updated", "v1.invoice.created", "v1.customer.created"]
    assert len(everything) == 8

    first = (await events.list_async({"limit": 2})).to_dict()
    assert first["previous_page_url"] is None
    second = (await stage.client.raw_request_async("get", first["next_page_url"])).data
    back = (await stage.client.raw_request_async("get", second["previous_page_url"])).data
    assert back["data"] == first["data"]
    assert back["previous_page_url"] is None


async def test_thin_events_by_type_object_and_instant(stage: Stage) -> None:
    old = await stage.a_customer()
    start = int(stage.clock.at.timestamp())
    stage.clock.advance(timedelta(seconds=10))
    invoice = await stage.a_draft(500)

    async def listed(params: Any) -> list[str]:
        found = await stage.client.v2.core.events.list_async(params)
        return [event.type async for event in found.auto_paging_iter()]

    assert await listed({"types": ["v1.invoice.created", "v1.invoice.paid"]}) == [
        "v1.invoice.created"
    ]
    assert await listed({"object_id": old}) == ["v1.customer.created"]
    assert await listed({"object_id": invoice.id, "limit": 1}) == [
        "v1.invoice.updated",
        "v1.invoice.created",
    ]
    assert len(await listed({"created": {"gt": iso(start)}, "limit": 1})) == 3
    assert await listed({"created": {"lte": iso(start)}}) == ["v1.customer.created"]
    assert await listed({"created": {"gte": iso(start), "lt": iso(start + 10)}}) == [
        "v1.customer.created"
    ]
    between = {"gte": iso(start).replace(".000Z", ".500Z"), "lt": iso(start + 10)}
    assert await listed({"created": between}) == []
    stage.clock.advance(timedelta(days=30, seconds=1))
    assert await listed({"limit": 100}) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"created": {"gt": "yesterday"}},
        {"limit": 0},
        {"wat": "x"},
        {"types": [f"v1.t{number}" for number in range(21)]},
    ],
)
async def test_a_list_that_makes_no_sense_is_refused(stage: Stage, wrong: Any) -> None:
    with pytest.raises(stripe.StripeError) as refused:
        await stage.client.v2.core.events.list_async(wrong)
    assert refused.value.http_status == 400


async def test_an_event_of_nobody_is_404_and_a_snapshots_id_is_no_thin_one(stage: Stage) -> None:
    await stage.a_customer()
    (snapshot,) = (await stage.client.v1.events.list_async()).data
    for event_id in ("evt_thin_x", snapshot.id):
        with pytest.raises(stripe.StripeError) as missing:
            await stage.client.v2.core.events.retrieve_async(event_id)
        assert missing.value.http_status == 404
