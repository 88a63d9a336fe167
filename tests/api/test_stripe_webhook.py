import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest
import stripe
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError
from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

from api.stripe_webhook import BODY_BYTES_MAX, routes
from billing.ids import StripeEventId
from billing.models import Outcome, StripeEvent
from billing.runtime import Runtime
from billing.stripe_events import inbox_health
from billing.stripe_wire import API_VERSION
from tests.world import NOVEMBER_10, Clock

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
REPLAYED = (400, "SIGNATURE_INVALID")


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
        # the SDK takes the first `t`, and reads what we do not: an old one must not hide behind it
        (BODY, {"Stripe-Signature": f"{OLD.replace('t=', 't=+')},t={NOW}"}, *REPLAYED),
        (BODY, {"Stripe-Signature": f"{OLD.replace('t=', 't= ')},t={NOW}"}, *REPLAYED),
        (BODY, {"Stripe-Signature": f"{OLD.replace('t=', 't=00')},t={NOW}"}, *REPLAYED),
        (BODY, {"Stripe-Signature": f"t={NOW},{OLD}"}, *REPLAYED),
        (b"{", signed(b"{"), 400, "INVALID_JSON"),
        (b"[]", signed(b"[]"), 400, "INVALID_JSON"),
        (b"{}", signed(b"{}"), 400, "INVALID_EVENT"),
        (b"\xff\xfe", {"Stripe-Signature": f"t={NOW},v1=00"}, 400, "SIGNATURE_INVALID"),
        (b"x" * (BODY_BYTES_MAX + 1), {}, 413, "BODY_TOO_LARGE"),
        (b"x" * (2 << 20), {}, 413, "BODY_TOO_LARGE"),
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


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"livemode": True}, "of the other mode: we are in test mode"),
        ({"account": "acct_other"}, "of another account: acct_other"),
        ({"object": "v2.core.event", "context": "acct_1/acct_2"}, "of another account: acct_1"),
    ],
)
async def test_an_event_of_another_account_or_mode_is_kept_and_ignored(
    http: httpx.AsyncClient, runtime: Runtime, changes: dict[str, object], reason: str
) -> None:
    body = json.dumps({**EVENT, **changes}).encode()
    answer = await http.post("/webhooks/stripe", content=body, headers=signed(body))

    assert answer.status_code == 200
    async with runtime.sessions() as session:
        event = await session.get_one(StripeEvent, StripeEventId("evt_1"))
    assert event.handled_at == NOVEMBER_10
    assert event.outcome is Outcome.IGNORED
    assert (event.reason or "").startswith(reason)


async def test_a_replayed_timestamp_is_refused_and_changes_nothing(
    http: httpx.AsyncClient, runtime: Runtime, clock: Clock
) -> None:
    """What was caught on its way is signed well, and old."""
    caught = signed(BODY)
    assert (await http.post("/webhooks/stripe", content=BODY, headers=caught)).status_code == 200
    clock.advance(timedelta(seconds=301))
    answer = await http.post("/webhooks/stripe", content=BODY, headers=caught)

    assert (answer.status_code, answer.json()["code"]) == (400, "SIGNATURE_EXPIRED")
    assert await stored(runtime) == 1


async def test_an_endpoint_of_an_old_version_is_told_of_and_its_events_are_kept(
    http: httpx.AsyncClient, runtime: Runtime, caplog: pytest.LogCaptureFixture
) -> None:
    body = json.dumps({**EVENT, "api_version": "2020-08-27"}).encode()
    answer = await http.post("/webhooks/stripe", content=body, headers=signed(body))

    assert answer.status_code == 200
    assert "is of API version 2020-08-27, not 2026-10-28.endive" in caplog.text
    async with runtime.sessions() as session:
        assert (await inbox_health(session, NOVEMBER_10)).other_version == 1


def test_our_version_is_the_one_that_the_sdk_asks_in() -> None:
    assert stripe.api_version == API_VERSION


STRANGE = [
    {"id": "evt_\0"},
    {"id": 7},
    {"type": None},
    {"type": "invoice.\n"},
    {"data": {"object": []}},
    {"data": {"object": {"id": "in_\0"}}},
    {"object": "invoice"},
]


@pytest.mark.parametrize("changes", STRANGE)
async def test_what_is_signed_but_no_event_is_a_400(
    http: httpx.AsyncClient, runtime: Runtime, changes: dict[str, object]
) -> None:
    body = json.dumps({**EVENT, **changes}).encode()
    answer = await http.post("/webhooks/stripe", content=body, headers=signed(body))

    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_EVENT")
    assert await stored(runtime) == 0


@pytest.mark.parametrize("created", [-1, 10**30, 1.5, "yesterday", "9999-12-31T23:59:59-23:00"])
async def test_an_odd_instant_is_no_reason_to_lose_an_event(
    http: httpx.AsyncClient, runtime: Runtime, created: object
) -> None:
    body = json.dumps({**EVENT, "created": created}).encode()
    answer = await http.post("/webhooks/stripe", content=body, headers=signed(body))

    assert answer.status_code == 200
    assert await stored(runtime) == 1


async def test_while_the_database_is_down_stripe_is_told_to_come_again(
    http: httpx.AsyncClient, runtime: Runtime
) -> None:
    """Stripe resends for three days what was not answered 2xx (Parabol #4934, gitpod #18810)."""
    async with runtime.sessions.begin() as session:
        await session.execute(text("LOCK TABLE stripe_events IN ACCESS EXCLUSIVE MODE"))
        with pytest.raises((DBAPIError, TimeoutError)):
            async with asyncio.timeout(1):
                await http.post("/webhooks/stripe", content=BODY, headers=signed(BODY))
    assert await stored(runtime) == 0

    answer = await http.post("/webhooks/stripe", content=BODY, headers=signed(BODY))
    assert answer.status_code == 200
    assert await stored(runtime) == 1
