"""voidUsage: a verdict for each event, and the estimate without them."""

from typing import Any

import httpx
import pytest

from billing.models import Organization
from billing.runtime import Sessions
from tests.api.graphql import Graph, a_key
from tests.factories import a_meter, a_plan, a_price, an_organization, subscribed

RECORD = """mutation($events: [UsageEventInput!]!) {
    recordUsage(input: {events: $events}) { accepted duplicates }
}"""
VOID = """mutation($events: [UsageIdentityInput!]!, $reason: String!) {
    voidUsage(input: {events: $events, reason: $reason}) {
        voided alreadyVoided rejected userErrors { code reason field }
        results {
            __typename
            ... on UsageVoidVerdict { subject source id }
            ... on UsageVoidRejected { code message field didYouMean }
        }
    }
}"""
CHARGES = '{ organization(slug: "acme") { currentCharges { lines { quantity } } } }'


@pytest.fixture
async def app(http: httpx.AsyncClient, sessions: Sessions, org: Organization) -> Graph:
    """An app's key: it may write usage and see what that costs. Two events are recorded."""
    async with sessions.begin() as session:
        meter, plan = await a_meter(session), await a_plan(session)
        terms = {"model": "PER_UNIT", "unit_amount": "0.10"}
        await a_price(session, plan, terms, meter=meter)
        await subscribed(session, org, plan)
    app = Graph(http, await a_key(sessions, "usage:write", "billing:read", org=org))
    recorded = await app.ask(RECORD, events=[an_event("e1", "15"), an_event("e2", "30")])
    assert recorded["recordUsage"]["accepted"] == 2
    return app


def an_event(id: str, value: str) -> dict[str, Any]:
    return {
        **identity(id),
        "type": "egress_gb",
        "time": "2026-11-10T13:00:00Z",
        "data": {"value": value, "app": "api"},
    }


def identity(id: str, subject: str = "acme") -> dict[str, Any]:
    return {"subject": subject, "source": "phoenix", "id": id}


async def void(app: Graph, *events: dict[str, Any], reason: str = "test") -> dict[str, Any]:
    payload: dict[str, Any] = (await app.ask(VOID, events=list(events), reason=reason))["voidUsage"]
    return payload


async def quantities(app: Graph) -> list[str]:
    charges = (await app.ask(CHARGES))["organization"]["currentCharges"]
    return [line["quantity"] for line in charges["lines"]]


async def test_the_next_estimate_is_without_what_was_voided(app: Graph) -> None:
    assert await quantities(app) == ["45"]

    payload = await void(app, identity("e2"), identity("e2"), identity("e9"))

    assert [payload[name] for name in ("voided", "alreadyVoided", "rejected")] == [1, 1, 1]
    assert payload["userErrors"] == []
    assert payload["results"] == [
        {"__typename": "UsageVoided", **identity("e2")},
        {"__typename": "UsageAlreadyVoided", **identity("e2")},
        {
            "__typename": "UsageVoidRejected",
            **identity("e9"),
            "code": "UNKNOWN_EVENT",
            "message": "No event of acme has this source and id.",
            "field": "id",
            "didYouMean": None,
        },
    ]
    assert await quantities(app) == ["15"]
    resent = (await app.ask(RECORD, events=[an_event("e2", "30")]))["recordUsage"]
    assert resent == {"accepted": 0, "duplicates": 1}
    assert await quantities(app) == ["15"]


async def test_somebody_elses_organization_is_one_that_does_not_exist(
    app: Graph, sessions: Sessions
) -> None:
    async with sessions.begin() as session:
        await an_organization(session, key="globex")

    results = (await void(app, identity("e1", "globex"), identity("e1", "acne")))["results"]

    assert [(one["code"], one["field"], one["didYouMean"]) for one in results] == [
        ("UNKNOWN_ORGANIZATION", "subject", None),
        ("UNKNOWN_ORGANIZATION", "subject", "acme"),
    ]


async def test_what_is_wrong_with_all_of_it_is_a_user_error(app: Graph) -> None:
    no_reason = await void(app, identity("e1"), reason=" ")
    too_many = await void(app, *[identity("e1")] * 1001)

    assert no_reason["userErrors"] == [
        {"code": "VALIDATION", "reason": "MISSING_REASON", "field": ["input", "reason"]}
    ]
    assert too_many["userErrors"][0]["reason"] == "TOO_MANY_EVENTS"
    assert no_reason["results"] == too_many["results"] == []
    assert await quantities(app) == ["45"]


async def test_a_key_without_the_scope_is_forbidden(
    app: Graph, http: httpx.AsyncClient, sessions: Sessions, org: Organization
) -> None:
    reader = Graph(http, await a_key(sessions, "usage:read", org=org))

    assert await reader.code(VOID, events=[identity("e1")], reason="test") == "FORBIDDEN"
