"""How complete usage is, in GraphQL: what sources say of themselves beside what has come."""

import httpx

from billing.models import Organization
from billing.runtime import Runtime, Sessions
from billing.usage.comparing import check_control_totals
from tests.api.graphql import Graph, a_key
from tests.factories import a_meter

ASK = """{ organization(slug: "acme") { currentCharges { completeness freshness {
    source lastOccurredAt lastRecordedAt lateBySeconds through behindSeconds
    missingHours { hour meter sentEvents countedEvents sentTotal countedTotal }
} } } }"""
HOUR = {"hour": "2026-11-10T13:00:00Z", "meter": "egress_gb", "count": 1200, "sum": "100.50"}
EVENT = {
    "specversion": "1.0",
    "id": "e1",
    "source": "fra",
    "type": "egress_gb",
    "subject": "acme",
    "time": "2026-11-10T13:30:00Z",
    "data": {"value": 1.5},
}
FRESHNESS = [
    {
        "source": "fra",
        "lastOccurredAt": "2026-11-10T13:30:00Z",
        "lastRecordedAt": "2026-11-10T14:00:00Z",
        "lateBySeconds": 1800,
        "through": "2026-11-10T13:55:00Z",
        "behindSeconds": None,
        "missingHours": [
            {
                "hour": "2026-11-10T13:00:00Z",
                "meter": "egress gb",
                "sentEvents": 1200,
                "countedEvents": 1,
                "sentTotal": "100.5",
                "countedTotal": "1.5",
            }
        ],
    },
    {
        "source": "syd",
        "lastOccurredAt": None,
        "lastRecordedAt": None,
        "lateBySeconds": None,
        "through": "2026-11-10T13:20:00Z",
        "behindSeconds": 2400,
        "missingHours": [],
    },
]


async def test_freshness_says_how_far_each_source_has_sent(
    http: httpx.AsyncClient, sessions: Sessions, org: Organization, runtime: Runtime
) -> None:
    async with sessions.begin() as session:
        await a_meter(session)
    token = await a_key(sessions, "usage:write", "billing:read", org=org)
    headers = {"Authorization": f"Bearer {token}"}
    as_event = {**headers, "Content-Type": "application/cloudevents+json"}
    await http.post("/api/v1/events", json=EVENT, headers=as_event)
    for heartbeat in (
        {"source": "fra", "through": "2026-11-10T13:55:00Z", "hours": [HOUR]},
        {"source": "syd", "through": "2026-11-10T13:20:00Z"},
    ):
        sent = await http.post("/api/v1/heartbeats", json=heartbeat, headers=headers)
        assert sent.status_code == 204
    await check_control_totals(runtime)

    charges = (await Graph(http, token).ask(ASK))["organization"]["currentCharges"]

    assert charges["completeness"] == (
        "usage from `syd` is 40 minutes behind,"
        " `fra` says it sent 1,200 events for 13:00 UTC and 1 has come"
    )
    assert charges["freshness"] == FRESHNESS
