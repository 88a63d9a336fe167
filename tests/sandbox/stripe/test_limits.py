"""How many calls are let in, told by the status and headers of answers, on a clock set by hand."""

from collections.abc import Awaitable
from datetime import timedelta

import pytest
import stripe

from sandbox.stripe.limits import Limits
from tests.sandbox.stripe.conftest import Gate, Stage


async def refusal_of(call: Awaitable[object]) -> stripe.RateLimitError:
    with pytest.raises(stripe.RateLimitError) as limited:
        await call
    return limited.value


def reason(error: stripe.RateLimitError) -> str | None:
    assert error.headers is not None
    assert "retry-after" not in error.headers
    return error.headers.get("stripe-rate-limited-reason")


async def admitted(stage: Stage, tries: int) -> int:
    """How many of so many calls, at one instant and of one operation, are answered."""
    answers = 0
    for _ in range(tries):
        try:
            await stage.client.v1.customers.list_async()
        except stripe.RateLimitError:
            continue
        answers += 1
    return answers


async def test_nothing_is_limited_unless_asked_for(stage: Stage) -> None:
    assert await admitted(stage, 50) == 50


async def test_an_endpoint_has_one_bucket_whatever_ids_it_is_called_with(stage: Stage) -> None:
    one, other = await stage.a_customer(), await stage.a_customer()
    stage.world.limits = Limits(endpoint_per_second=2)
    customers = stage.client.v1.customers
    await customers.retrieve_async(one)
    await customers.retrieve_async(other)

    limited = await refusal_of(customers.retrieve_async(one))

    assert reason(limited) == "endpoint-rate"
    assert limited.error is not None
    assert (limited.http_status, limited.error.code) == (429, "rate_limit")
    assert limited.error.type == "invalid_request_error"
    await customers.list_async()  # another operation
    assert stage.world.traffic.refused == {"endpoint-rate": 1}


async def test_the_global_bucket_is_everybodys(stage: Stage) -> None:
    customer = await stage.a_customer()
    stage.world.limits = Limits(global_per_second=2, endpoint_per_second=25)
    await stage.client.v1.customers.list_async()
    await stage.client.v1.invoices.list_async()

    assert reason(await refusal_of(stage.client.v1.customers.retrieve_async(customer))) == (
        "global-rate"
    )


async def test_a_bucket_fills_with_the_clock_and_holds_a_second(stage: Stage) -> None:
    stage.world.limits = Limits(endpoint_per_second=25)
    assert await admitted(stage, 30) == 25
    stage.clock.advance(timedelta(milliseconds=39))
    assert await admitted(stage, 1) == 0
    stage.clock.advance(timedelta(milliseconds=1))  # a 25th of a second: one call
    assert await admitted(stage, 2) == 1
    stage.clock.advance(timedelta(hours=1))
    assert await admitted(stage, 30) == 25


async def test_throughput_over_virtual_seconds_is_the_rate(stage: Stage) -> None:
    stage.world.limits = Limits(global_per_second=100, endpoint_per_second=7)
    answered = 0
    for _ in range(20):
        answered += await admitted(stage, 9)
        stage.clock.advance(timedelta(seconds=1))
    assert answered == 7 * 20
    assert stage.world.traffic.refused == {"endpoint-rate": 2 * 20}


async def test_a_limited_call_is_not_saved_under_its_key(stage: Stage) -> None:
    stage.world.limits = Limits(endpoint_per_second=1)
    await stage.a_customer()
    create = stage.client.v1.customers.create_async
    await refusal_of(create({"name": "A"}, {"idempotency_key": "k"}))
    stage.clock.advance(timedelta(seconds=1))

    made = await create({"name": "A"}, {"idempotency_key": "k"})
    assert made.last_response is not None
    assert "idempotent-replayed" not in made.last_response.headers
    stage.clock.advance(timedelta(seconds=1))
    assert (await create({"name": "A"}, {"idempotency_key": "k"})).id == made.id
    # The limiter stands before the idempotency layer: a replay counts, too.
    await refusal_of(create({"name": "A"}, {"idempotency_key": "k"}))


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        (Limits(concurrent=1), "global-concurrency"),
        (Limits(endpoint_concurrent=1), "endpoint-concurrency"),
    ],
)
async def test_calls_under_way_are_counted(
    stage: Stage, gate: Gate, limits: Limits, expected: str
) -> None:
    stage.world.limits = limits
    first = await gate.inside(stage, stage.a_customer())

    assert reason(await refusal_of(stage.a_customer())) == expected
    if limits.concurrent is None:
        await stage.client.v1.customers.list_async()  # another endpoint
    gate.open.set()
    await first
    await stage.a_customer()


async def test_one_write_at_a_time_to_an_invoice_or_its_customer(stage: Stage, gate: Gate) -> None:
    customer = await stage.a_customer()
    draft = await stage.a_draft(customer=customer)
    other = await stage.a_draft()
    stage.world.limits = Limits(locks=True)
    invoices = stage.client.v1.invoices
    lines: stripe.params.InvoiceAddLinesParams = {"lines": [{"amount": 500}]}
    first = await gate.inside(stage, invoices.add_lines_async(draft.id, lines))

    keyed: stripe.RequestOptions = {"idempotency_key": "k"}
    same = await refusal_of(invoices.add_lines_async(draft.id, lines, keyed))
    owner = await refusal_of(stage.client.v1.customers.update_async(customer, {"name": "B"}))
    for locked in (same, owner):
        assert reason(locked) is None
        assert locked.error is not None
        assert locked.error.code == "lock_timeout"
        assert locked.error.type == "invalid_request_error"
    await invoices.retrieve_async(draft.id)  # reading is free, and so are other objects
    await invoices.add_lines_async(other.id, lines)

    gate.open.set()
    await first
    assert (await invoices.add_lines_async(draft.id, lines, keyed)).total == 1000


async def test_the_control_door_sets_and_ends_limits(stage: Stage) -> None:
    await stage.order(limits={"endpoint_per_second": 3})
    assert await admitted(stage, 5) == 3
    state = await stage.order(reset=True)
    assert (state["limits"]["endpoint_per_second"], state["refused"]) == (3, {})
    await stage.order(limits=None)
    assert await admitted(stage, 10) == 10
