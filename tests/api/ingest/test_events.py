"""`POST /api/v1/events`: formats, answers, and numbers that stay exact from text to bucket."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal

import anyio
import httpx

from billing.runtime import Runtime
from sandbox.stripe.server import serving
from tests.api.ingest.conftest import BATCH, LINES, SINGLE, Door, an_event
from web.app import create_app


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
    assert [(event["index"], event["verdict"], event["code"]) for event in refused] == [
        (1, "REJECTED", "UNKNOWN_METER"),
        (2, "CONFLICT", "CONFLICT"),
        (3, "REJECTED", "INVALID_VALUE"),
    ]
    assert refused[0] == {
        "index": 1,
        "id": "e2",
        "source": "rails",
        "verdict": "REJECTED",
        "code": "UNKNOWN_METER",
        "message": "No meter counts events of type 'egres_gb'.",
        "field": "type",
        "did_you_mean": "egress_gb",
    }
    assert await door.stored() == 2


async def test_a_number_stays_exact_from_its_text_to_the_bucket(door: Door) -> None:
    counted = Decimal(0)
    for literal in (
        "123456789012345.000000000001",
        "0.100000000000",
        "1.5E+3",
        '"0.000000000001"',
    ):
        body = json.dumps(an_event(id=literal, data={"value": "?"})).replace('"?"', literal)
        assert (await door.post(body, SINGLE)).status_code == 204
        counted += Decimal(literal.strip('"'))
        assert await door.total() == counted


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
