"""The control door: faults, cards and endpoints over HTTP, also while Stripe is down."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import stripe

from tests.sandbox.stripe.conftest import Receiver, Stage

CREATE = "POST /v1/invoices"


@pytest.fixture
async def door(stage: Stage) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=stage.url) as client:
        yield client


async def test_down_until_told_otherwise(stage: Stage) -> None:
    await stage.order(down=True)
    with pytest.raises(stripe.APIError) as down:
        await stage.a_customer()
    assert down.value.http_status == 503

    await stage.order(down={"how": "close"})
    with pytest.raises(stripe.APIConnectionError):
        await stage.a_customer()

    state = await stage.order(down=False)
    assert state["calls"] == {"POST /v1/customers": 2}
    assert state["customers"] == 0
    await stage.a_customer()


async def test_a_rate_limit_for_some_calls_of_one_operation(stage: Stage) -> None:
    limit = {"operation": CREATE, "calls": 2, "reason": "global-rate"}
    await stage.order(rate_limit=limit)
    customer = await stage.a_customer()

    for _ in range(2):
        with pytest.raises(stripe.RateLimitError) as limited:
            await stage.client.v1.invoices.create_async(
                {"customer": customer}, {"idempotency_key": "k"}
            )
        assert limited.value.headers is not None
        assert limited.value.headers["stripe-rate-limited-reason"] == "global-rate"
    await stage.client.v1.invoices.create_async({"customer": customer}, {"idempotency_key": "k"})
    assert (await stage.order())["faults"] == {}


async def test_an_error_before_or_after_the_commit(stage: Stage) -> None:
    await stage.order(error_before_commit={"calls": 1})
    with pytest.raises(stripe.APIError):
        await stage.a_customer()
    assert len(stage.world.customers) == 0

    await stage.order(error_after_commit={"calls": 1})
    with pytest.raises(stripe.APIError):
        await stage.a_customer()
    assert len(stage.world.customers) == 1


async def test_a_lost_answer_is_retried_by_the_sdk_itself_and_makes_one(stage: Stage) -> None:
    await stage.order(timeout_after_commit={"calls": 1})
    await stage.client.v1.customers.create_async({}, {"max_network_retries": 1})

    assert len(stage.world.customers) == 1
    assert stage.world.calls["POST /v1/customers"] == 2


async def test_cards_endpoints_and_delays(stage: Stage, receiver: Receiver) -> None:
    customer = await stage.a_customer()
    await stage.pass_time(seconds=0)
    receiver.arrived.clear()
    await stage.order(
        default_card="decline",
        cards={customer: "later"},
        clearing_delay_s=60,
        collection_delay_s=0,
        webhook_endpoints=[
            {"url": receiver.url, "secrets": ["whsec_x"], "enabled_events": ["invoice.paid"]}
        ],
    )
    invoice = await stage.an_open_invoice(500, customer=customer)
    other = await stage.an_open_invoice(500)
    await stage.pass_time(seconds=0)
    await stage.pass_time(seconds=60)

    assert (await stage.fetched(invoice)).status == "paid"
    assert (await stage.fetched(other)).status == "open"
    assert len(receiver.arrived) == 1
    assert (await stage.order(cards={customer: None}))["cards"] == {}


async def test_reset_empties_the_account_and_keeps_the_endpoints(
    stage: Stage, receiver: Receiver
) -> None:
    first = await stage.a_customer()
    state = await stage.order(reset=True, down=True)
    assert (state["customers"], state["calls"]) == (0, {})
    assert [endpoint["url"] for endpoint in state["webhook_endpoints"]] == [receiver.url]
    await stage.order(down=False)
    assert await stage.a_customer() != first


@pytest.mark.parametrize(
    "orders",
    [
        {"dwon": True},
        {"down": "yes"},
        {"down": {"calls": 0}},
        {"slow": {"operation": "POST /v1/invoice"}},
        {"default_card": "gold"},
        {"limits": {"global_per_second": 0}},
        {"discounts": {"cus_x": {"percent_off": 10}}},
        {"discounts": {"cus_x": {"percent_off": 10, "amount_off": 1}}},
    ],
)
async def test_an_order_that_makes_no_sense_changes_nothing(
    door: httpx.AsyncClient, orders: dict[str, Any]
) -> None:
    before = (await door.get("/_control")).json()
    assert (await door.post("/_control", json=orders)).status_code == 400
    assert (await door.get("/_control")).json() == before


async def test_only_json_is_obeyed(door: httpx.AsyncClient) -> None:
    assert (await door.post("/_control", content='{"down": true}')).status_code == 415
