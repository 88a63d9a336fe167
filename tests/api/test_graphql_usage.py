"""recordUsage: a verdict for each event, in the words of the REST door."""

import json
from decimal import Decimal
from typing import Any

import httpx
import pytest

from billing.models import Organization
from billing.runtime import Sessions
from tests.api.graphql import Graph, a_key
from tests.factories import a_meter, a_plan, a_price, subscribed

RECORD = """mutation($events: [UsageEventInput!]!) { recordUsage(input: {events: $events}) {
    accepted duplicates conflicts rejected userErrors { code reason field }
    results {
        __typename
        ... on UsageEventVerdict { id source }
        ... on UsageConflict { code }
        ... on UsageRejected { code field didYouMean }
    }
} }"""


@pytest.fixture
async def app(http: httpx.AsyncClient, sessions: Sessions, org: Organization) -> Graph:
    """An app's key: it may write usage and see what that costs."""
    async with sessions.begin() as session:
        meter, plan = await a_meter(session), await a_plan(session)
        terms = {"model": "PER_UNIT", "unit_amount": "0.10"}
        await a_price(session, plan, terms, meter=meter)
        await subscribed(session, org, plan)
    return Graph(http, await a_key(sessions, "usage:write", "billing:read", org=org))


def an_event(**changes: Any) -> dict[str, Any]:
    return {
        "id": "e1",
        "source": "phoenix",
        "type": "egress_gb",
        "subject": "acme",
        "time": "2026-11-10T13:00:00Z",
        "data": {"value": "1.5", "app": "api"},
    } | changes


async def test_usage_is_on_the_estimate_at_once(app: Graph) -> None:
    events = [an_event(id="text"), an_event(id="number", data={"value": 30, "app": "api"})]
    payload = (await app.ask(RECORD, events=events))["recordUsage"]

    assert [one["__typename"] for one in payload["results"]] == ["UsageAccepted"] * 2
    assert payload["accepted"] == 2
    charges = await app.ask(
        '{ organization(slug: "acme") { currentCharges { lines { quantity amount { amount } } } } }'
    )
    assert charges["organization"]["currentCharges"]["lines"] == [
        {"quantity": "31.5", "amount": {"amount": "3.15"}}
    ]


async def test_how_far_each_source_has_been_heard_of(app: Graph) -> None:
    await app.ask(RECORD, events=[an_event(), an_event(source="rails", time=None)])

    answer = await app.ask("""{ organization(slug: "acme") { currentCharges {
        freshness { source lateBySeconds lastOccurredAt lastRecordedAt } } } }""")
    fresh = answer["organization"]["currentCharges"]["freshness"]
    assert [tuple(source.values()) for source in fresh] == [
        ("phoenix", 3600, "2026-11-10T13:00:00Z", "2026-11-10T14:00:00Z"),
        ("rails", 0, "2026-11-10T14:00:00Z", "2026-11-10T14:00:00Z"),
    ]


async def test_values_may_nest_and_come_from_variables(app: Graph) -> None:
    query = """mutation($app: String) { recordUsage(input: {events: [{
        id: "e1", source: "s", type: "egress_gb", subject: "acme",
        data: {value: 1.5, app: $app, tags: [true, null, {deep: "x"}, A]}
    }]}) { accepted } }"""

    assert (await app.ask(query, app="api"))["recordUsage"]["accepted"] == 1
    assert await app.code(query.replace("{value", "[{value").replace("A]}", "A]}]")) == "VALIDATION"


async def test_each_event_has_a_verdict_and_the_good_ones_count(app: Graph) -> None:
    await app.ask(RECORD, events=[an_event()])
    events = [
        an_event(),
        an_event(data={"value": "2", "app": "api"}),
        an_event(id="e2"),
        an_event(id="e3", type="egress_bg"),
        an_event(id="e4", subject="nobody"),
        an_event(id="e5", data={"value": "-1"}),
        an_event(id="e6", data={"value": "NaN"}),
        an_event(id="e7", time="2026-11-11T14:00:00Z"),
        an_event(id=" "),
    ]
    payload = (await app.ask(RECORD, events=events))["recordUsage"]

    assert [(x["__typename"], x.get("code")) for x in payload["results"]] == [
        ("UsageDuplicate", None),
        ("UsageConflict", "CONFLICT"),
        ("UsageAccepted", None),
        ("UsageRejected", "UNKNOWN_METER"),
        ("UsageRejected", "UNKNOWN_ORGANIZATION"),
        ("UsageRejected", "NEGATIVE_VALUE"),
        ("UsageRejected", "INVALID_VALUE"),
        ("UsageRejected", "TIME_IN_FUTURE"),
        ("UsageRejected", "INVALID_EVENT"),
    ]
    assert payload["results"][3]["didYouMean"] == "egress_gb"
    assert payload["results"][5]["field"] == "data.value"
    counts = [payload[x] for x in ("accepted", "duplicates", "conflicts", "rejected")]
    assert counts == [1, 1, 1, 6]
    assert [x["id"] for x in payload["results"]][:4] == ["e1", "e1", "e2", "e3"]


async def test_a_number_is_counted_as_it_was_spelled(app: Graph) -> None:
    """As a float it would be 123456789012345.12 and lose the rest."""
    spelled = "123456789012345.123456789012"
    event = json.dumps(an_event(data={"value": 0})).replace("0}", f"{spelled}}}")
    body = f'{{"query": {json.dumps(RECORD)}, "variables": {{"events": [{event}]}}}}'
    headers = {"Authorization": f"Bearer {app.token}", "Content-Type": "application/json"}
    await app.http.post("/graphql", content=body, headers=headers)
    literal = f"""mutation {{ recordUsage(input: {{events: [{{
        id: "e2", source: "s", type: "egress_gb", subject: "acme", data: {{value: {spelled}}}
    }}]}}) {{ accepted }} }}"""
    assert (await app.ask(literal))["recordUsage"]["accepted"] == 1

    charges = await app.ask('{organization(slug: "acme") {currentCharges {lines {quantity}}}}')
    (line,) = charges["organization"]["currentCharges"]["lines"]
    assert Decimal(line["quantity"]) == 2 * Decimal(spelled)


async def test_a_batch_has_a_most(app: Graph) -> None:
    payload = (await app.ask(RECORD, events=[an_event()] * 1001))["recordUsage"]

    assert payload["results"] == []
    assert payload["userErrors"] == [
        {"code": "VALIDATION", "reason": "TOO_MANY_EVENTS", "field": ["input", "events"]}
    ]


async def test_a_full_batch_fits(app: Graph) -> None:
    events = [an_event(id=f"e{number}") for number in range(1000)]
    payload = (await app.ask(RECORD, events=events))["recordUsage"]

    assert payload["accepted"] == 1000


async def test_one_event_of_the_wrong_type_refuses_the_request(app: Graph) -> None:
    wrong = [an_event(), an_event(id="e2", time="yesterday")]
    refusal = await app.refusal(RECORD, events=wrong)

    assert refusal["extensions"]["code"] == "VALIDATION"
    assert "ISO 8601" in refusal["message"]
    payload = (await app.ask(RECORD, events=[an_event()]))["recordUsage"]
    assert payload["accepted"] == 1, "nothing of the refused request was counted"


async def test_usage_needs_its_scope(
    http: httpx.AsyncClient, sessions: Sessions, org: Organization
) -> None:
    reader = Graph(http, await a_key(sessions, "usage:read", org=org))

    assert await reader.code(RECORD, events=[an_event()]) == "FORBIDDEN"
