"""Refused usage is shown to those who may read usage."""

import httpx

from billing.models import Organization
from billing.runtime import Sessions
from tests.api.graphql import Graph, a_key

REFUSED = """query($first: Int, $after: String) { organization(slug: "acme") {
    quarantine(first: $first, after: $after) {
        nodes { id verdict code message event recordedAt } pageInfo { hasNextPage endCursor }
    }
} }"""
SEND = """mutation($events: [UsageEventInput!]!) {
    recordUsage(input: {events: $events}) { rejected }
}"""


def an_event(name: str) -> dict[str, object]:
    return {"id": name, "source": "s", "type": "unknown", "subject": "acme", "data": {"value": 1.5}}


async def test_refused_usage_is_shown_page_by_page(
    http: httpx.AsyncClient, sessions: Sessions, org: Organization
) -> None:
    app = Graph(http, await a_key(sessions, "usage:write", "usage:read", org=org))
    await app.ask(SEND, events=[an_event(name) for name in "abc"])

    seen, after = [], None
    while True:
        page = (await app.ask(REFUSED, first=2, after=after))["organization"]["quarantine"]
        seen += page["nodes"]
        if not page["pageInfo"]["hasNextPage"]:
            break
        after = page["pageInfo"]["endCursor"]

    assert sorted(one["event"]["id"] for one in seen) == ["a", "b", "c"]
    assert {(one["verdict"], one["code"], one["recordedAt"]) for one in seen} == {
        ("REJECTED", "UNKNOWN_METER", "2026-11-10T14:00:00Z")
    }
    assert seen[0]["event"]["data"] == {"value": "1.5"}


async def test_refused_usage_needs_its_scope(
    http: httpx.AsyncClient, sessions: Sessions, org: Organization
) -> None:
    writer = Graph(http, await a_key(sessions, "usage:write", org=org))

    assert await writer.code(REFUSED) == "FORBIDDEN"
