"""The estimate as it was shown, asked for later: over GraphQL, whatever has happened since."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from billing.models import Organization
from billing.runtime import Runtime, Sessions
from tests.api.graphql import Graph, a_key
from tests.explained import AFTER_GRACE, an_explained_acme, close, send, void
from tests.world import NOVEMBER_10, Clock

AS_OF = """
query($asOf: DateTime) { organization(slug: "acme") { currentCharges(asOf: $asOf) {
    asOf digest total { amount } period { start } freshness { source } forecast { method }
    lines { key quantity explain { events { nodes { id isVoided } } } }
    by(dimension: "app") { shares { value amount { amount } } }
} } }
"""
CHEAP = """query($asOf: DateTime) { organization(slug: "acme") {
    currentCharges(asOf: $asOf) { digest }
} }"""


@pytest.fixture
async def org(runtime: Runtime) -> Organization:
    return await an_explained_acme(runtime)


@pytest.fixture
async def reader(http: httpx.AsyncClient, sessions: Sessions, org: Organization) -> Graph:
    return Graph(http, await a_key(sessions, "billing:read", "usage:read", org=org))


async def ask(reader: Graph, then: datetime | None = None) -> dict[str, Any]:
    as_of = None if then is None else then.isoformat()
    found: dict[str, Any] = (await reader.ask(AS_OF, asOf=as_of))["organization"]["currentCharges"]
    return found


async def test_what_was_shown_then(
    reader: Graph, runtime: Runtime, org: Organization, clock: Clock
) -> None:
    await send(runtime, "a", "8", NOVEMBER_10 - timedelta(days=1))
    then = clock.at
    shown = await ask(reader)
    clock.advance(timedelta(hours=1))
    await send(runtime, "b", "5", NOVEMBER_10 - timedelta(days=2), app="web")
    await void(runtime, "a")
    await close(runtime, clock, AFTER_GRACE)

    again = await ask(reader, then)

    same = ("asOf", "digest", "total", "period", "by", "lines")
    assert [again[name] for name in same] == [shown[name] for name in same]
    assert again["lines"][0]["explain"]["events"]["nodes"] == [{"id": "a", "isVoided": False}]
    assert (again["freshness"], again["forecast"]) == ([], None)
    assert (await ask(reader))["digest"] != shown["digest"]


@pytest.mark.parametrize(
    ("then", "reason"),
    [
        (NOVEMBER_10 + timedelta(seconds=1), "AS_OF_IN_FUTURE"),
        (datetime(2026, 10, 31, 23, 59, tzinfo=UTC), "AS_OF_BEFORE_OPENING"),
    ],
)
async def test_an_instant_that_cannot_be_answered_is_refused(
    reader: Graph, then: datetime, reason: str
) -> None:
    extensions = (await reader.refusal(CHEAP, asOf=then.isoformat()))["extensions"]

    assert (extensions["code"], extensions["reason"]) == ("VALIDATION", reason)


async def test_the_past_costs_more(reader: Graph) -> None:
    costs = [
        (await reader.post(CHEAP, asOf=as_of)).json()["extensions"]["cost"]["requested"]
        for as_of in (None, NOVEMBER_10.isoformat())
    ]

    assert costs == [52, 502]


async def test_a_default_does_not_make_it_cheap(reader: Graph) -> None:
    query = CHEAP.replace("$asOf: DateTime", '$asOf: DateTime = "2026-11-10T00:00:00Z"')

    assert (await reader.post(query)).json()["extensions"]["cost"]["requested"] == 502
