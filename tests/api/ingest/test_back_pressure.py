"""A database that is behind costs senders a 503, and never the process its memory."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest
from sqlalchemy import text

from billing.runtime import Runtime
from billing.usage.backlog import BYTES_MAX, Backlog
from billing.usage.coalescing import Coalescer
from tests.api.ingest.conftest import BATCH, Door, an_event

MIB = 1024 * 1024
SECONDS_MAX = 30


@pytest.fixture
def backlog(runtime: Runtime) -> Backlog:
    """The web process's own."""
    return runtime.remembered(Coalescer).backlog


async def endless(sent: list[int]) -> AsyncIterator[bytes]:
    """A body that says how much of it was read."""
    while True:
        sent.append(MIB)
        yield b" " * MIB


def headers(door: Door) -> dict[str, str]:
    return {"Authorization": f"Bearer {door.token}", "Content-Type": BATCH}


def check_overloaded(answer: httpx.Response) -> None:
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "OVERLOADED"
    assert int(answer.headers["retry-after"]) > 0


async def test_without_room_nothing_of_a_request_is_read(door: Door, backlog: Backlog) -> None:
    sent: list[int] = []
    others = backlog.admit(BYTES_MAX - 2 * MIB)

    declared = {**headers(door), "Content-Length": str(3 * MIB)}
    check_overloaded(
        await door.http.post("/api/v1/events", content=endless(sent), headers=declared)
    )
    assert sent == []
    check_overloaded(
        await door.http.post("/api/v1/events", content=endless(sent), headers=headers(door))
    )
    assert len(sent) == 2, "of unknown length, so it was read as far as there was room"

    assert (await door.post([an_event()])).status_code == 204, "a small one still finds room"
    others.leave()
    assert backlog.size_bytes == 0


async def test_whatever_is_refused_gives_its_room_back(door: Door, backlog: Backlog) -> None:
    stranger = replace(door, token="ssk_nobody")

    refused = [
        await stranger.post([an_event()]),
        await door.post(" " * (11 * MIB)),
        await door.post("{"),
        await door.post([an_event()], "text/plain"),
        await door.post([an_event(type="unknown")]),
    ]

    assert [answer.status_code for answer in refused] == [401, 413, 400, 415, 400]
    assert (backlog.size_bytes, backlog.event_count) == (0, 0)


async def test_behind_a_lock_requests_wait_until_there_is_no_room(
    door: Door, backlog: Backlog
) -> None:
    largest = [json.dumps([an_event(id=f"e{n}")]).ljust(10 * MIB) for n in range(7)]
    async with door.sessions.begin() as session:
        await session.execute(text("LOCK TABLE usage_identities IN EXCLUSIVE MODE"))
        waiting = [asyncio.create_task(door.post(body)) for body in largest[:6]]
        async with asyncio.timeout(SECONDS_MAX):
            while backlog.event_count < 6:  # noqa: ASYNC110 - nobody else wants to know
                await asyncio.sleep(0.01)
        check_overloaded(await door.post(largest[6]))
        assert backlog.size_bytes <= BYTES_MAX

    async with asyncio.timeout(SECONDS_MAX):
        answers = await asyncio.gather(*waiting)
    assert [answer.status_code for answer in answers] == [204] * 6
    assert (backlog.size_bytes, backlog.event_count) == (0, 0)
    assert (await door.post(largest[6])).status_code == 204
    assert await door.stored() == 7
