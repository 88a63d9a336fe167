"""Whether Stripe still sends webhooks is asked once an hour; what was handled is forgotten."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Literal

import pytest
from sqlalchemy import select

from billing.ids import StripeEventId
from billing.models import StripeEvent, WebhookEndpointCheck
from billing.runtime import Runtime
from billing.stripe_events import check_endpoint_due, find_endpoint, handle_due, prune_events
from billing.stripe_events.endpoint import EVERY, TOLD_FOR
from billing.stripe_events.pruning import KEPT_FOR
from sandbox.stripe.app import FakeStripe
from sandbox.stripe.chaos import Fault, Switch
from sandbox.stripe.webhooks import Endpoint
from tests.billing.test_stripe_events import hear, told
from tests.world import Clock

LIST = "GET /v1/webhook_endpoints"
OURS = "http://127.0.0.1:8000/webhooks/stripe"
Status = Literal["enabled", "disabled"]


def endpoints(fake: FakeStripe, *given: tuple[str, Status]) -> None:
    fake.world.postbox.endpoints = tuple(
        Endpoint(url, ("whsec_test",), id=f"we_{place}", status=status)
        for place, (url, status) in enumerate(given)
    )


async def known(runtime: Runtime) -> WebhookEndpointCheck | None:
    async with runtime.sessions() as session:
        return await find_endpoint(session, await runtime.now())


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ([(OURS, "enabled")], "enabled"),
        ([(OURS, "disabled")], "disabled"),
        ([(OURS, "disabled"), (OURS, "enabled")], "enabled"),
        ([("https://elsewhere.example/webhooks/stripe", "enabled")], None),
        ([], None),
    ],
)
async def test_ours_is_told_by_its_address(
    connected: Runtime, fake: FakeStripe, given: Sequence[tuple[str, Status]], status: str | None
) -> None:
    endpoints(fake, *given)
    await check_endpoint_due(connected)

    check = await known(connected)
    assert check is not None
    assert (check.url, check.status) == (OURS, status)


async def test_it_is_asked_once_an_hour_and_an_old_answer_is_none(
    connected: Runtime, fake: FakeStripe, clock: Clock
) -> None:
    endpoints(fake, (OURS, "enabled"))
    for _ in range(3):
        await check_endpoint_due(connected)
    assert fake.world.calls[LIST] == 1

    clock.advance(EVERY)
    fake.world.chaos.turn_on(Fault.DOWN, Switch(operation=LIST))
    await check_endpoint_due(connected)
    assert (await known(connected)) is not None  # of an hour ago
    clock.advance(TOLD_FOR)
    assert await known(connected) is None


async def test_it_is_found_among_many(connected: Runtime, fake: FakeStripe) -> None:
    others: list[tuple[str, Status]] = [
        (f"https://{n}.example/hook", "enabled") for n in range(150)
    ]
    endpoints(fake, (OURS, "disabled"), *others)
    await check_endpoint_due(connected)

    check = await known(connected)
    assert check is not None
    assert check.status == "disabled"
    assert fake.world.calls[LIST] == 2


async def test_handled_events_are_forgotten_after_ninety_days_and_waiting_ones_never(
    connected: Runtime, fake: FakeStripe, clock: Clock
) -> None:
    await hear(connected, told("customer.updated", "cus_1", id="evt_handled"))
    await handle_due(connected)
    await hear(connected, told("invoice.paid", "in_1", id="evt_waiting"))
    clock.advance(timedelta(days=1))
    await hear(connected, told("customer.updated", "cus_2", id="evt_younger"))
    async with connected.sessions.begin() as session:
        younger = await session.get_one(StripeEvent, StripeEventId("evt_younger"))
        younger.handled_at = clock.at

    assert await prune_events(connected) == 0
    clock.advance(KEPT_FOR - timedelta(hours=1))
    assert await prune_events(connected) == 1
    async with connected.sessions() as session:
        left = set(await session.scalars(select(StripeEvent.id)))
    assert left == {"evt_waiting", "evt_younger"}
