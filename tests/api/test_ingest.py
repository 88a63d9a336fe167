"""`POST /api/v1/events`: formats, answers, and numbers that stay exact from text to bucket."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import anyio
import httpx
import pytest
from sqlalchemy import func, select

from billing.models import Organization, UsageBucket, UsageEvent
from billing.runtime import Runtime, Sessions
from sandbox.stripe.server import serving
from tests.api.graphql import a_key
from tests.factories import a_meter
from web.app import create_app

SINGLE = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
LINES = "application/x-ndjson"


def an_event(**changes: object) -> dict[str, object]:
    """1.5 GB of egress by acme, unless told otherwise."""
    return {
        "specversion": "1.0",
        "id": "e1",
        "source": "rails",
        "type": "egress_gb",
        "subject": "acme",
        "time": "2026-11-10T13:20:00Z",
        "data": {"value": 1.5, "app": "web"},
        **changes,
    }


@dataclass(frozen=True, slots=True)
class Door:
    """The endpoint, asked with one key; and what came through it."""

    http: httpx.AsyncClient
    token: str
    sessions: Sessions

    async def post(
        self, body: bytes | str | object, media_type: str = BATCH, **headers: str
    ) -> httpx.Response:
        """Text is sent as it is, everything else as JSON."""
        return await self.http.post(
            "/api/v1/events",
            content=body if isinstance(body, bytes | str) else json.dumps(body),
            headers={
                "Authorization": f"Bearer {self.token}",
                "Content-Type": media_type,
                **headers,
            },
        )

    async def total(self) -> Decimal:
        """Everything counted so far."""
        async with self.sessions() as session:
            return await session.scalar(select(func.sum(UsageBucket.total))) or Decimal(0)

    async def stored(self) -> int:
        """How many events were accepted so far."""
        async with self.sessions() as session:
            return await session.scalar(select(func.count()).select_from(UsageEvent)) or 0


@pytest.fixture
async def door(http: httpx.AsyncClient, org: Organization, sessions: Sessions) -> Door:
    async with sessions.begin() as session:
        await a_meter(session)
    return Door(http, await a_key(sessions, "usage:write"), sessions)


def ndjson(events: Sequence[Mapping[str, object]]) -> str:
    return "\n".join(json.dumps(event) for event in events)


async def test_each_format_stores_and_answers_no_content(door: Door) -> None:
    events = [an_event(id=f"e{number}") for number in range(6)]

    answers = [
        await door.post(events[0], SINGLE),
        await door.post(events[1:3], f"{BATCH}; charset=utf-8"),
        await door.post(ndjson(events[3:]) + "\r\n\n", LINES),
        await door.post(events),
        await door.post([]),
        await door.post("", LINES),
    ]

    assert [(answer.status_code, answer.content) for answer in answers] == [(204, b"")] * 6
    assert (await door.stored(), await door.total()) == (6, Decimal(9))


async def test_whoever_prefers_it_gets_a_verdict_for_each(door: Door) -> None:
    await door.post(an_event(), SINGLE)

    answer = await door.post(
        [an_event(), an_event(id="e2")], Prefer='respond-async, Return="representation"; x=1'
    )

    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.headers["preference-applied"] == "return=representation"
    assert answer.json() == {
        "accepted": 1,
        "duplicates": 1,
        "events": [
            {"index": 0, "id": "e1", "source": "rails", "verdict": "DUPLICATE"},
            {"index": 1, "id": "e2", "source": "rails", "verdict": "ACCEPTED"},
        ],
    }


async def test_refused_events_are_named_and_the_others_stored(door: Door) -> None:
    answer = await door.post(
        [
            an_event(),
            an_event(id="e2", type="egres_gb"),
            an_event(data={"value": 2}),
            an_event(id="e3", data={"value": True}),
            an_event(id="e4"),
        ],
        Prefer="return=representation",
    )

    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    refused = problem.pop("events")
    assert problem == {
        "type": "about:blank",
        "title": "Bad Request",
        "status": 400,
        "detail": "3 of 5 events were refused, as `events` says; the others are stored.",
        "code": "EVENTS_REFUSED",
        "accepted": 2,
        "duplicates": 0,
    }
    assert refused == [
        {
            "index": 1,
            "id": "e2",
            "source": "rails",
            "verdict": "REJECTED",
            "code": "UNKNOWN_METER",
            "message": "No meter counts events of type 'egres_gb'.",
            "field": "type",
            "did_you_mean": "egress_gb",
        },
        {
            "index": 2,
            "id": "e1",
            "source": "rails",
            "verdict": "CONFLICT",
            "code": "CONFLICT",
            "message": "A different event has this source and id already: a new one needs a new id.",
            "field": "id",
        },
        {
            "index": 3,
            "id": "e3",
            "source": "rails",
            "verdict": "REJECTED",
            "code": "INVALID_VALUE",
            "message": "data.value must be a number or a numeric string.",
            "field": "data.value",
        },
    ]
    assert await door.stored() == 2


@pytest.mark.parametrize(
    ("literal", "exactly"),
    [
        ("9007199254740993", "9007199254740993"),
        ("0.100000000000", "0.1"),
        ("999999999999999.999999999999", "999999999999999.999999999999"),
        ("1.5E+3", "1500"),
        ('"0.000000000001"', "0.000000000001"),
    ],
)
async def test_a_number_stays_exact_from_its_text_to_the_bucket(
    door: Door, literal: str, exactly: str
) -> None:
    body = json.dumps(an_event(data={"value": "?"})).replace('"?"', literal)

    assert (await door.post(body, SINGLE)).status_code == 204
    assert await door.total() == Decimal(exactly)


async def test_over_real_http_requests_at_once_count_each_event_once(
    door: Door, runtime: Runtime
) -> None:
    events = [an_event(id=f"e{number}") for number in range(50)]
    statuses: Counter[int] = Counter()

    async with serving(create_app(runtime)) as url, httpx.AsyncClient(base_url=url) as http:
        served = Door(http, door.token, door.sessions)

        async def send(start: int) -> None:
            answer = await served.post(events[start:] + events[:start])
            statuses[answer.status_code] += 1

        async with anyio.create_task_group() as group:
            for start in range(0, 50, 10):
                group.start_soon(send, start)

    assert statuses == {204: 5}
    assert (await door.stored(), await door.total()) == (50, Decimal(75))
