"""From a line to its hours and its events over GraphQL."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from billing.models import Meter, Organization, Plan, Price
from billing.rules.money import Currency
from billing.runtime import Runtime, Sessions
from tests.api.graphql import Graph, a_key
from tests.explained import (
    AFTER_GRACE,
    IN_SYDNEY,
    JANUARY,
    an_explained_acme,
    close,
    send,
    void,
)
from tests.factories import LONG_AGO, a_version
from tests.world import NOVEMBER_10, Clock

EXPLAIN = """
    kind key quantity unit explain {
        meter unit
        hours(first: $first, after: $hours) {
            nodes { start quantity eventCount } pageInfo { hasNextPage endCursor }
        }
        events(first: $first, after: $events) {
            nodes {
                id source occurredAt recordedAt quantity label dimensions isVoided voidReason
            }
            pageInfo { hasNextPage endCursor }
        }
    }
"""
VARIABLES = "$first: Int = 50, $hours: String, $events: String"
NOW = f"""query({VARIABLES}) {{ organization(slug: "acme") {{
    currentCharges {{ lines {{ {EXPLAIN} }} }}
}} }}"""
INVOICED = f"""query({VARIABLES}, $number: String!) {{ organization(slug: "acme") {{
    invoice(number: $number) {{ lines {{ {EXPLAIN} }} }}
}} }}"""
NOVEMBER_5 = datetime(2026, 11, 5, tzinfo=UTC)
NOVEMBER_2 = datetime(2026, 11, 2, 10, 20, tzinfo=UTC)


@pytest.fixture
async def org(runtime: Runtime) -> Organization:
    return await an_explained_acme(runtime)


@pytest.fixture
async def reader(http: httpx.AsyncClient, sessions: Sessions, org: Organization) -> Graph:
    return Graph(http, await a_key(sessions, "billing:read", "usage:read", org=org))


@pytest.fixture
async def used(runtime: Runtime, clock: Clock, org: Organization) -> Runtime:
    """8 GB here, 2 GB in Sydney, and 100 GB that were sent by mistake."""
    await send(runtime, "a", "5", NOVEMBER_2)
    await send(runtime, "wrong", "100", NOVEMBER_2)
    await send(runtime, "b", "3", NOVEMBER_10, app="web", region="fra")
    await send(runtime, "c", "2", NOVEMBER_10, region="syd")
    clock.advance(timedelta(hours=1))
    await void(runtime, "wrong")
    return runtime


def by_key(lines: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {line["key"]: line for line in lines}


async def now_open(reader: Graph, **variables: Any) -> dict[str, dict[str, Any]]:
    answer = await reader.ask(NOW, **variables)
    return by_key(answer["organization"]["currentCharges"]["lines"])


async def invoiced(reader: Graph, number: str) -> dict[str, dict[str, Any]]:
    answer = await reader.ask(INVOICED, number=number)
    return by_key(answer["organization"]["invoice"]["lines"])


def ids(line: dict[str, Any]) -> list[str]:
    return [event["id"] for event in line["explain"]["events"]["nodes"]]


def total(line: dict[str, Any]) -> Decimal:
    return sum((Decimal(x["quantity"]) for x in line["explain"]["hours"]["nodes"]), Decimal(0))


async def test_a_line_of_the_estimate_down_to_its_events(reader: Graph, used: Runtime) -> None:
    lines = await now_open(reader)

    line = lines["pro/egress/USD@1"]
    assert line["explain"]["meter"] == "egress_gb"
    assert line["explain"]["unit"] == line["unit"] == "GB"
    assert line["explain"]["hours"]["nodes"] == [
        {"start": "2026-11-02T10:00:00Z", "quantity": "5", "eventCount": 1},
        {"start": "2026-11-10T14:00:00Z", "quantity": "3", "eventCount": 1},
    ]
    assert ids(line) == ["a", "wrong", "b"]
    assert line["explain"]["events"]["nodes"][1:] == [
        {
            "id": "wrong",
            "source": "test",
            "occurredAt": "2026-11-02T10:20:00Z",
            "recordedAt": "2026-11-10T14:00:00Z",
            "quantity": "100",
            "label": None,
            "dimensions": {"app": "api"},
            "isVoided": True,
            "voidReason": "sent twice",
        },
        {
            "id": "b",
            "source": "test",
            "occurredAt": "2026-11-10T14:00:00Z",
            "recordedAt": "2026-11-10T14:00:00Z",
            "quantity": "3",
            "label": None,
            "dimensions": {"app": "web", "region": "fra"},
            "isVoided": False,
            "voidReason": None,
        },
    ]
    assert ids(lines["pro/sydney/USD@1"]) == ["c"], "the closer price took it"
    assert lines["pro/base/USD@1"]["explain"] is None, "no event is behind a fee"


async def test_a_page_at_a_time(reader: Graph, used: Runtime) -> None:
    seen: dict[str, list[str]] = {"hours": [], "events": []}
    cursors: dict[str, str | None] = {"hours": None, "events": None}
    for _ in range(3):
        explained = (await now_open(reader, first=1, **cursors))["pro/egress/USD@1"]["explain"]
        for name, key in (("hours", "start"), ("events", "id")):
            seen[name] += [node[key] for node in explained[name]["nodes"]]
            cursors[name] = explained[name]["pageInfo"]["endCursor"] or cursors[name]

    assert seen["events"] == ["a", "wrong", "b"]
    assert seen["hours"] == ["2026-11-02T10:00:00Z", "2026-11-10T14:00:00Z"]
    assert not explained["events"]["pageInfo"]["hasNextPage"]


@pytest.mark.parametrize("name", ["hours", "events"])
@pytest.mark.parametrize("cursor", ["x", "WyJob3VycyIsIngiXQ==", "WyJldmVudHMiLCJ4IiwieiIsIiJd"])
async def test_a_cursor_that_is_none_is_refused(
    reader: Graph, used: Runtime, name: str, cursor: str
) -> None:
    answer = (await reader.post(NOW, **{name: cursor})).json()

    assert {x["extensions"]["reason"] for x in answer["errors"]} == {"INVALID_CURSOR"}


async def test_what_came_after_the_issue_is_not_behind_the_invoice_but_its_correction(
    reader: Graph, used: Runtime, clock: Clock
) -> None:
    await close(used, clock, AFTER_GRACE)
    clock.advance(timedelta(minutes=1))
    await send(used, "late", "7", NOVEMBER_2)
    await void(used, "b")

    line = (await invoiced(reader, "ACME-0001"))["pro/egress/USD@1"]
    assert ids(line) == ["a", "wrong", "b"]
    assert [x["isVoided"] for x in line["explain"]["events"]["nodes"]] == [False, True, False]
    assert total(line) == Decimal(line["quantity"]) == 8

    correction = (await now_open(reader))["pro/egress/USD~ACME-0001"]
    assert (correction["kind"], correction["quantity"]) == ("TRUE_UP", "4")
    assert set(ids(correction)) == {"a", "wrong", "late", "b"}
    assert total(correction) == 12

    await close(used, clock, JANUARY)
    clock.advance(timedelta(minutes=1))
    await void(used, "late")
    correction = (await invoiced(reader, "ACME-0002"))["pro/egress/USD~ACME-0001"]
    assert total(correction) == 12, "as of its issue"


async def test_a_closer_price_that_starts_meanwhile_takes_only_what_follows(
    reader: Graph, runtime: Runtime, org: Organization, sessions: Sessions
) -> None:
    """The line goes on for the whole month, and its series of Frankfurt end with the 5th."""
    async with sessions.begin() as session:
        meter = (await session.scalars(select(Meter))).one()
        plan = (await session.scalars(select(Plan))).one()
        frankfurt = Price(
            plan_id=plan.id,
            position=9,
            slug="frankfurt",
            name="frankfurt",
            currency=Currency.USD,
            meter_id=meter.id,
            filters={"region": ["fra"]},
            recorded_at=LONG_AGO,
        )
        session.add(frankfurt)
        await session.flush()
        await a_version(session, frankfurt, IN_SYDNEY, NOVEMBER_5)
    await send(runtime, "before", "1", NOVEMBER_2, region="fra")
    await send(runtime, "after", "1", NOVEMBER_5, region="fra")
    await send(runtime, "elsewhere", "1", NOVEMBER_10, region="ams")

    lines = await now_open(reader)

    assert ids(lines["pro/egress/USD@1"]) == ["before", "elsewhere"]
    assert total(lines["pro/egress/USD@1"]) == Decimal(lines["pro/egress/USD@1"]["quantity"]) == 2
    assert ids(lines["pro/frankfurt/USD@2"]) == ["after"]


@pytest.mark.parametrize("scope", ["billing:read", "usage:read"])
async def test_both_scopes_are_needed(
    http: httpx.AsyncClient, sessions: Sessions, org: Organization, used: Runtime, scope: str
) -> None:
    half = Graph(http, await a_key(sessions, scope, org=org))

    answer = (await half.post(NOW)).json()

    assert {x["extensions"]["code"] for x in answer["errors"]} == {"FORBIDDEN"}
