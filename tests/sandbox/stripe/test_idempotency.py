"""Idempotency keys: what makes a retry after a lost answer safe, and what makes it unsafe."""

from datetime import timedelta
from typing import Any

import pytest
import stripe

from sandbox.stripe.chaos import Fault, Switch
from tests.sandbox.stripe.conftest import Gate, Stage

CREATE = "POST /v1/invoices"
ADD_LINES = "POST /v1/invoices/{invoice}/add_lines"


async def test_the_same_key_gives_the_same_object(stage: Stage) -> None:
    first = await stage.client.v1.customers.create_async({"name": "A"}, {"idempotency_key": "k"})
    again = await stage.client.v1.customers.create_async({"name": "A"}, {"idempotency_key": "k"})

    assert again.id == first.id
    assert len(stage.world.customers) == 1
    assert first.last_response is not None
    assert again.last_response is not None
    headers = again.last_response.headers
    assert headers["idempotency-key"] == "k"
    assert headers["idempotent-replayed"] == "true"
    assert headers["original-request"] == first.last_response.request_id
    assert "idempotent-replayed" not in first.last_response.headers


async def test_a_key_refuses_other_parameters_and_other_endpoints(stage: Stage) -> None:
    options: stripe.RequestOptions = {"idempotency_key": "k"}
    await stage.client.v1.customers.create_async({"name": "A"}, options)

    with pytest.raises(stripe.IdempotencyError, match="same parameters"):
        await stage.client.v1.customers.create_async({"name": "B"}, options)
    with pytest.raises(stripe.IdempotencyError, match="same endpoint"):
        await stage.client.v1.invoices.create_async({"customer": "cus_x"}, options)


async def test_a_key_is_forgotten_after_24_hours(stage: Stage) -> None:
    options: stripe.RequestOptions = {"idempotency_key": "k"}
    first = await stage.client.v1.customers.create_async({}, options)

    stage.clock.advance(timedelta(hours=23, minutes=59))
    assert (await stage.client.v1.customers.create_async({}, options)).id == first.id
    stage.clock.advance(timedelta(minutes=1))
    assert (await stage.client.v1.customers.create_async({}, options)).id != first.id


async def test_a_key_in_use_is_refused_409(stage: Stage, gate: Gate) -> None:
    create = stage.client.v1.customers.create_async
    options: stripe.RequestOptions = {"idempotency_key": "k"}
    first = await gate.inside(stage, create({}, options))

    with pytest.raises(stripe.APIError) as refused:
        await create({}, options)
    assert refused.value.http_status == 409
    gate.open.set()
    await first
    await create({}, options)
    assert len(stage.world.customers) == 1


async def test_refused_parameters_are_not_saved_but_refusals_of_the_operation_are(
    stage: Stage,
) -> None:
    wrong: Any = {"wat": "x"}
    with pytest.raises(stripe.InvalidRequestError, match="unknown parameter"):
        await stage.client.v1.customers.create_async(wrong, {"idempotency_key": "k"})
    await stage.client.v1.customers.create_async({}, {"idempotency_key": "k"})

    invoice = await stage.a_draft(500)

    async def void() -> None:
        await stage.client.v1.invoices.void_invoice_async(invoice.id, {}, {"idempotency_key": "v"})

    with pytest.raises(stripe.InvalidRequestError, match="isn't open"):
        await void()
    await stage.client.v1.invoices.finalize_invoice_async(invoice.id)
    with pytest.raises(stripe.InvalidRequestError, match="isn't open"):  # it is, by now
        await void()


async def test_a_500_is_replayed_for_ever(stage: Stage) -> None:
    stage.world.chaos.turn_on(Fault.ERROR_BEFORE_COMMIT, Switch(calls=1))
    for _ in range(2):
        with pytest.raises(stripe.APIError) as broken:
            await stage.client.v1.customers.create_async({}, {"idempotency_key": "k"})
        assert broken.value.http_status == 500
    assert len(stage.world.customers) == 0


async def test_an_answer_lost_after_the_commit_is_found_again_by_its_key(stage: Stage) -> None:
    invoice = await stage.a_draft()
    stage.world.chaos.turn_on(Fault.TIMEOUT_AFTER_COMMIT, Switch(ADD_LINES, calls=1))

    async def add(key: str) -> stripe.Invoice:
        return await stage.client.v1.invoices.add_lines_async(
            invoice.id, {"lines": [{"amount": 500}]}, {"idempotency_key": key}
        )

    with pytest.raises(stripe.APIConnectionError):
        await add("lines-1")
    assert (await add("lines-1")).total == 500
    assert (await add("another key")).total == 1000  # what stripe.md warns of
    assert stage.world.calls[ADD_LINES] == 3
