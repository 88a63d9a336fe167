"""What `POST /api/v1/events` refuses as a whole: a stable code, and nothing stored."""

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import timedelta
from urllib.parse import urlsplit

import anyio
import httpx
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from starlette.applications import Starlette
from starlette.types import Receive, Scope, Send

from api import ingest
from billing.accounts import NewUser, create_user
from billing.api_keys import NewKey, create_key, revoke_key
from billing.models import Organization
from billing.runtime import Runtime, Sessions
from billing.sign_in import sign_in_as
from sandbox.stripe.server import serving
from tests.api.graphql import a_key
from tests.api.ingest.conftest import BATCH, LINES, SINGLE, Door, an_event
from tests.factories import an_organization
from tests.world import Clock
from web.app import create_app

MIB = 1024 * 1024


def shown(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == answer.status_code
    assert problem["detail"]
    return answer.status_code, problem["code"]


UNREADABLE: Sequence[tuple[object, str, tuple[int, str]]] = (
    ("{", SINGLE, (400, "INVALID_JSON")),
    ("", BATCH, (400, "INVALID_JSON")),
    ('[{"id": "e1"},]', BATCH, (400, "INVALID_JSON")),
    ('{"id": "e1"} {}', SINGLE, (400, "INVALID_JSON")),
    ("\ufeff[]", BATCH, (400, "INVALID_JSON")),
    (b'["\xff"]', BATCH, (400, "INVALID_JSON")),
    ("[" * 100_000, BATCH, (400, "INVALID_JSON")),
    (an_event(), BATCH, (400, "INVALID_BATCH")),
    ([an_event()], "application/json", (415, "UNSUPPORTED_MEDIA_TYPE")),
    ([an_event()], "text/plain", (415, "UNSUPPORTED_MEDIA_TYPE")),
    ([an_event()], "", (415, "UNSUPPORTED_MEDIA_TYPE")),
    (json.dumps([{}] * 10_001), BATCH, (413, "TOO_MANY_EVENTS")),
    ("{}\n" * 10_001, LINES, (413, "TOO_MANY_EVENTS")),
    (" " * (11 * MIB), BATCH, (413, "BODY_TOO_LARGE")),
    ("[" + " " * (10 * MIB - 2) + "] ", BATCH, (413, "BODY_TOO_LARGE")),
)


async def test_a_body_that_cannot_be_read_stores_nothing(door: Door) -> None:
    for body, media_type, told in UNREADABLE:
        assert shown(await door.post(body, media_type)) == told, str(body)[:40]
    assert await door.stored() == 0


async def test_invalid_json_is_pointed_at(door: Door) -> None:
    answer = await door.post('[\n  {"id": nope}\n]')

    assert answer.json()["detail"] == "Not valid JSON at line 2, column 10: Expecting value."


async def test_an_encoded_body_is_not_taken(door: Door) -> None:
    answer = await door.post([an_event()], **{"Content-Encoding": "gzip"})

    assert shown(answer) == (415, "UNSUPPORTED_MEDIA_TYPE")


async def test_the_largest_body_is_taken(door: Door) -> None:
    body = json.dumps([an_event()])

    assert (await door.post(body.ljust(10 * MIB))).status_code == 204


async def test_a_body_of_unknown_length_is_measured_as_it_comes(door: Door) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 1
            yield b" " * MIB

    answer = await door.http.post(
        "/api/v1/events",
        content=endless(),
        headers={"Authorization": f"Bearer {door.token}", "Content-Type": BATCH},
    )

    assert shown(answer) == (413, "BODY_TOO_LARGE")
    assert sent == 11


async def test_one_line_that_is_no_json_spoils_no_other(door: Door) -> None:
    body = "\n".join([json.dumps(an_event()), "{oops", json.dumps(an_event(id="e2")), "[" * 9000])

    answer = await door.post(body, LINES)

    assert [(e["index"], e["code"]) for e in answer.json()["events"]] == [
        (1, "INVALID_JSON"),
        (3, "INVALID_JSON"),
    ]
    assert await door.stored() == 2


async def test_each_bad_event_is_told_apart(door: Door) -> None:
    literals = ("NaN", "Infinity", "-Infinity", "1e400", "0.1234567890123", "-1", "true", '"x"')
    texts = [
        json.dumps(an_event(id=f"e{number}", data={"value": "?"})).replace('"?"', literal)
        for number, literal in enumerate(literals)
    ]
    texts += [
        r'{"specversion": "1.0", "id": "a\u0000b"}',
        r'{"specversion": "1.0", "id": "\ud800"}',
    ]

    answer = await door.post(f"[{', '.join(texts)}]")

    codes = [event["code"] for event in answer.json()["events"]]
    assert (
        codes
        == [*["INVALID_VALUE"] * 5, "NEGATIVE_VALUE", *["INVALID_VALUE"] * 2]
        + ["INVALID_EVENT"] * 2
    )
    assert await door.stored() == 0


async def test_who_is_not_known_is_told_so(door: Door, sessions: Sessions, clock: Clock) -> None:
    async with sessions.begin() as session:
        new = NewKey("k", ["usage:write"], expires_at=clock.at + timedelta(hours=1))
        _, expired = await create_key(session, new, actor="test", now=clock.at)
        key, revoked = await create_key(session, replace(new, name="r"), actor="test", now=clock.at)
        await revoke_key(session, key.id, actor="test", now=clock.at)
    clock.advance(timedelta(hours=1))

    for authorization, code in (
        ("", "UNAUTHENTICATED"),
        ("Basic YTpi", "UNAUTHENTICATED"),
        ("Bearer", "UNAUTHENTICATED"),
        ("Bearer ssk_nobody", "KEY_UNKNOWN"),
        (f"Bearer {expired}", "KEY_EXPIRED"),
        (f"Bearer {revoked}", "KEY_REVOKED"),
    ):
        answer = await door.post([an_event()], Authorization=authorization)
        assert shown(answer) == (401, code)
        assert answer.headers["www-authenticate"] == "Bearer"
    assert await door.stored() == 0


async def test_a_browser_session_is_no_key(door: Door, sessions: Sessions, clock: Clock) -> None:
    async with sessions.begin() as session:
        user = await create_user(
            session, NewUser("ops@acme.example", "Ops", is_ops=True), actor="test", now=clock.at
        )
        cookie = await sign_in_as(session, user.id, clock.at)

    answer = await door.post([an_event()], Authorization="", Cookie=f"session={cookie}")

    assert answer.status_code == 401


async def test_a_key_without_the_scope_is_forbidden(door: Door, sessions: Sessions) -> None:
    reader = replace(door, token=await a_key(sessions, "usage:read", "billing:write"))

    assert shown(await reader.post([an_event()])) == (403, "FORBIDDEN")


async def test_another_organizations_key_sees_no_such_organization(
    door: Door, sessions: Sessions
) -> None:
    async with sessions.begin() as session:
        other: Organization = await an_organization(session, key="globex")
    bound = replace(door, token=await a_key(sessions, "usage:write", org=other))

    answer = await bound.post([an_event(), an_event(subject="globex")])

    [refused] = answer.json()["events"]
    assert (refused["index"], refused["code"]) == (0, "UNKNOWN_ORGANIZATION")
    assert "did_you_mean" not in refused
    assert await door.stored() == 1


async def test_while_the_database_is_away_it_says_when_to_come_back(
    runtime: Runtime, door: Door
) -> None:
    engine = create_async_engine("postgresql+asyncpg://nobody@127.0.0.1:9/nothing")
    away = replace(runtime, engine=engine, sessions=async_sessionmaker(engine))
    routes = Starlette(routes=[ingest.route])

    async def served(scope: Scope, receive: Receive, send: Send) -> None:
        await routes({**scope, "state": {"runtime": away}}, receive, send)

    transport = httpx.ASGITransport(served)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
        answer = await replace(door, http=http).post([an_event()])

    assert shown(answer) == (503, "UNAVAILABLE")
    assert int(answer.headers["retry-after"]) > 0


async def test_over_real_http_a_large_body_is_refused_before_it_is_sent(
    door: Door, runtime: Runtime
) -> None:
    async with serving(create_app(runtime)) as url, httpx.AsyncClient(base_url=url) as http:
        served = replace(door, http=http)
        assert shown(await served.post(" " * (11 * MIB))) == (413, "BODY_TOO_LARGE")
        assert (await served.post([an_event()])).status_code == 204


async def test_a_body_that_breaks_off_stores_nothing(door: Door, runtime: Runtime) -> None:
    whole = json.dumps([an_event()])
    head = (
        f"POST /api/v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {door.token}\r\n"
        f"Content-Type: {BATCH}\r\nContent-Length: {len(whole) + 1}\r\n\r\n"
    )
    async with serving(create_app(runtime)) as url:
        port = urlsplit(url).port
        assert port
        async with await anyio.connect_tcp("127.0.0.1", port) as stream:
            await stream.send(f"{head}{whole}".encode())
        async with httpx.AsyncClient(base_url=url) as http:
            assert (await replace(door, http=http).post([an_event(id="e2")])).status_code == 204

    assert await door.stored() == 1
