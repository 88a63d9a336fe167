import json
from collections.abc import AsyncIterator

import httpx
import pytest
import stripe
from sqlalchemy import func, select
from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

from api.stripe_webhook import BODY_BYTES_MAX, routes
from billing.models import StripeEvent
from billing.runtime import Runtime
from tests.world import NOVEMBER_10

NOW = int(NOVEMBER_10.timestamp())
EVENT = {
    "object": "event",
    "id": "evt_1",
    "type": "invoice.paid",
    "created": NOW,
    "livemode": False,
    "data": {"object": {"id": "in_1", "object": "invoice"}},
}


@pytest.fixture
async def http(runtime: Runtime) -> AsyncIterator[httpx.AsyncClient]:
    app: ASGIApp = Starlette(routes=routes)

    async def with_runtime(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, "state": {"runtime": runtime}}, receive, send)

    transport = httpx.ASGITransport(with_runtime)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


def signed(body: bytes, *, secret: str = "whsec_test", at: int = NOW) -> dict[str, str]:
    """As Stripe signs, by Stripe's own code."""
    signature = stripe.WebhookSignature.generate_signature_header(body.decode(), secret, at)
    return {"Stripe-Signature": signature}


async def stored(runtime: Runtime) -> int:
    async with runtime.sessions() as session:
        return await session.scalar(select(func.count()).select_from(StripeEvent)) or 0


async def test_a_signed_event_is_stored_before_it_is_acknowledged(
    http: httpx.AsyncClient, runtime: Runtime
) -> None:
    body = json.dumps(EVENT).encode()
    for _ in range(2):
        answer = await http.post("/webhooks/stripe", content=body, headers=signed(body))
        assert answer.status_code == 200

    assert await stored(runtime) == 1


async def test_either_secret_works_while_one_is_being_rolled(
    http: httpx.AsyncClient, runtime: Runtime
) -> None:
    body = json.dumps(EVENT).encode()
    both = signed(body, secret="whsec_new")["Stripe-Signature"]
    old = signed(body)["Stripe-Signature"].split(",")[1]

    answer = await http.post(
        "/webhooks/stripe", content=body, headers={"Stripe-Signature": f"{both},{old}"}
    )

    assert answer.status_code == 200


BODY = json.dumps(EVENT).encode()
OLD = signed(BODY, at=NOW - 86_400)["Stripe-Signature"]


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (BODY, {}, 400, "SIGNATURE_INVALID"),
        (BODY, {"Stripe-Signature": "t=nonsense,v1=x"}, 400, "SIGNATURE_INVALID"),
        (BODY, {"Stripe-Signature": f"t={NOW},v1=00"}, 400, "SIGNATURE_INVALID"),
        (BODY, signed(BODY, secret="whsec_other"), 400, "SIGNATURE_INVALID"),
        (BODY, signed(BODY, at=NOW - 301), 400, "SIGNATURE_EXPIRED"),
        (BODY, signed(BODY, at=NOW + 301), 400, "SIGNATURE_EXPIRED"),
        (
            BODY,
            {"Stripe-Signature": f"t={NOW},v1={'é' * 64}"},
            400,
            "SIGNATURE_INVALID",
        ),
        (BODY, {"Stripe-Signature": f"x=1, t={NOW},{OLD}"}, 400, "SIGNATURE_EXPIRED"),
        (b"{", signed(b"{"), 400, "INVALID_JSON"),
        (b"[]", signed(b"[]"), 400, "INVALID_JSON"),
        (b"{}", signed(b"{}"), 400, "INVALID_EVENT"),
        (b"\xff\xfe", {"Stripe-Signature": f"t={NOW},v1=00"}, 400, "SIGNATURE_INVALID"),
        (b"x" * (BODY_BYTES_MAX + 1), {}, 413, "BODY_TOO_LARGE"),
    ],
)
async def test_what_stripe_did_not_send_changes_nothing(
    http: httpx.AsyncClient,
    runtime: Runtime,
    body: bytes,
    headers: dict[str, str],
    status: int,
    code: str,
) -> None:
    sent = {name.encode(): value.encode("latin-1") for name, value in headers.items()}
    answer = await http.post("/webhooks/stripe", content=body, headers=sent)

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert await stored(runtime) == 0


async def test_an_event_of_the_other_mode_is_refused(
    http: httpx.AsyncClient, runtime: Runtime
) -> None:
    body = json.dumps({**EVENT, "livemode": True}).encode()
    answer = await http.post("/webhooks/stripe", content=body, headers=signed(body))

    assert (answer.status_code, answer.json()["code"]) == (400, "WRONG_MODE")
    assert await stored(runtime) == 0
