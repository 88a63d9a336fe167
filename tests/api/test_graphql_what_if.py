"""My last months under another plan, over GraphQL."""

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from billing.models import Meter, Organization
from billing.runtime import Runtime, Sessions
from tests.api.graphql import Graph, a_key
from tests.explained import AFTER_GRACE, JANUARY, an_explained_acme, close, send
from tests.factories import a_plan, a_price, a_version
from tests.world import NOVEMBER_10, Clock

WHAT_IF = """
query($plan: String!, $periods: Int! = 1, $insteadOf: String) { organization(slug: "acme") {
    whatIf(plan: $plan, periods: $periods, insteadOf: $insteadOf) {
        before { amount currency } after { amount } difference { amount }
        periods {
            period { start } before { amount } after { amount } difference { amount }
            lines { key quantity amount { amount } explain { unit } }
        }
    }
} }
"""


@pytest.fixture
async def org(runtime: Runtime, clock: Clock) -> Organization:
    """November: 8 GB for 0.80, December: 100 GB for 10.00; 29.00 a month."""
    org = await an_explained_acme(runtime)
    await send(runtime, "a", "8", NOVEMBER_10)
    await close(runtime, clock, AFTER_GRACE)
    await send(runtime, "b", "100", AFTER_GRACE)
    await close(runtime, clock, JANUARY)
    return org


@pytest.fixture
async def reader(http: httpx.AsyncClient, sessions: Sessions, org: Organization) -> Graph:
    return Graph(http, await a_key(sessions, "billing:read", org=org))


async def what_if(reader: Graph, plan: str, **variables: Any) -> dict[str, Any]:
    found: dict[str, Any] = (await reader.ask(WHAT_IF, plan=plan, **variables))["organization"]
    return found["whatIf"]  # type: ignore[no-any-return]


async def a_cheap_plan(sessions: Sessions, slug: str = "cheap") -> None:
    """Egress at 0.05; from February on at 9.00."""
    async with sessions.begin() as session:
        meter = (await session.scalars(select(Meter))).one()
        plan = await a_plan(session, slug)
        price = await a_price(session, plan, per_gb("0.05"), meter=meter, slug="traffic")
        await a_version(session, price, per_gb("9"), datetime(2027, 2, 1, tzinfo=UTC))


def per_gb(amount: str) -> dict[str, str]:
    return {"model": "PER_UNIT", "unit_amount": amount}


async def test_another_plan_at_its_prices_of_now(reader: Graph, sessions: Sessions) -> None:
    await a_cheap_plan(sessions)

    found = await what_if(reader, "cheap", periods=5)

    assert found["before"] == {"amount": "68.80", "currency": "USD"}
    assert (found["after"], found["difference"]) == ({"amount": "5.40"}, {"amount": "-63.40"})
    december, november = found["periods"]
    assert november == {
        "period": {"start": "2026-11-01T00:00:00Z"},
        "before": {"amount": "29.80"},
        "after": {"amount": "0.40"},
        "difference": {"amount": "-29.40"},
        "lines": [
            {
                "key": "cheap/traffic/USD@1",
                "quantity": "8",
                "amount": {"amount": "0.40"},
                "explain": None,
            }
        ],
    }
    assert december["after"] == {"amount": "5.00"}
    assert len((await what_if(reader, "cheap"))["periods"]) == 1


async def test_its_own_plan_makes_no_difference(reader: Graph) -> None:
    assert (await what_if(reader, "pro", periods=2))["difference"] == {"amount": "0.00"}


@pytest.mark.parametrize(
    ("variables", "code", "reason"),
    [
        ({"plan": "nothing"}, "NOT_FOUND", "PLAN_NOT_FOUND"),
        ({"plan": "cheap", "periods": 0}, "VALIDATION", "VALIDATION"),
        ({"plan": "cheap", "periods": 25}, "VALIDATION", "VALIDATION"),
        ({"plan": "cheap", "insteadOf": "cheap"}, "NOT_FOUND", "NOT_ON_PLAN"),
        ({"plan": "empty"}, "VALIDATION", "CURRENCY_MISMATCH"),
    ],
)
async def test_what_cannot_be_tried_is_refused(
    reader: Graph, sessions: Sessions, variables: dict[str, Any], code: str, reason: str
) -> None:
    await a_cheap_plan(sessions)
    async with sessions.begin() as session:
        await a_plan(session, "empty")

    extensions = (await reader.refusal(WHAT_IF, **variables))["extensions"]

    assert (extensions["code"], extensions["reason"]) == (code, reason)


async def test_money_needs_the_scope_for_it(
    http: httpx.AsyncClient, sessions: Sessions, org: Organization
) -> None:
    half = Graph(http, await a_key(sessions, "usage:read", org=org))

    assert await half.code(WHAT_IF, plan="pro") == "FORBIDDEN"
