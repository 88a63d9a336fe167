"""The forecast and the bill diff over GraphQL: the domain's figures, as text."""

from datetime import UTC, datetime

import httpx
import pytest

from billing.estimates import current_estimate
from billing.forecasts import forecast_for
from billing.models import Organization
from billing.runtime import Sessions
from tests.api.graphql import Graph, a_key, closed_months, on_a_plan
from tests.world import NOVEMBER_10, Clock

MONEY = "{ amount currency }"
FORECAST = f"""
query {{ organization(slug: "acme") {{ currentCharges {{ accrued {MONEY} forecast {{
    low {MONEY} expected {MONEY} high {MONEY} fixed {MONEY} method
}} }} }} }}
"""
BILL_DIFF = """
query($sameDays: Boolean! = false, $first: Int) { organization(slug: "acme") {
    billDiff(sameDays: $sameDays, first: $first) {
        from { number period { start } total { amount } }
        to { number period { start } total { amount } }
        difference { amount currency }
        movements { kind product resource region amount { amount } words }
        others { amount } othersCount words
    }
} }
"""
DECEMBER_10 = datetime(2026, 12, 10, 14, tzinfo=UTC)


@pytest.fixture
async def reader(http: httpx.AsyncClient, sessions: Sessions, org: Organization) -> Graph:
    """A key that may read what its organization owes."""
    await on_a_plan(sessions, org)
    return Graph(http, await a_key(sessions, "billing:read", org=org))


async def test_the_forecast_is_the_domains(
    reader: Graph, sessions: Sessions, org: Organization
) -> None:
    charges = (await reader.ask(FORECAST))["organization"]["currentCharges"]
    async with sessions() as session:
        found = await forecast_for(session, org, await current_estimate(session, org, NOVEMBER_10))

    assert found is not None
    assert found.low.minor < found.high.minor
    told = charges["forecast"]
    for name in ("low", "expected", "high", "fixed"):
        amount = str(getattr(found, name).major)
        assert told[name] == {"amount": amount, "currency": "USD"}
    assert told["method"].startswith("if the last 7 days continue")


async def test_before_the_third_day_there_is_none(reader: Graph, clock: Clock) -> None:
    clock.at = datetime(2026, 11, 2, 23, 59, tzinfo=UTC)

    charges = (await reader.ask(FORECAST))["organization"]["currentCharges"]

    assert charges["forecast"] is None


async def test_the_bill_diff_says_what_changed(
    reader: Graph, sessions: Sessions, org: Organization, clock: Clock
) -> None:
    assert (await reader.ask(BILL_DIFF))["organization"]["billDiff"] is None
    await closed_months(sessions, org, 1)
    clock.at = DECEMBER_10

    told = (await reader.ask(BILL_DIFF))["organization"]["billDiff"]

    assert told["from"]["number"] == "ACME-0001"
    assert told["to"] == {
        "number": None,
        "period": {"start": "2026-12-01T00:00:00Z"},
        "total": {"amount": "29.00"},
    }
    assert told["difference"] == {"amount": "-5.94", "currency": "USD"}
    assert [(x["kind"], x["resource"], x["region"]) for x in told["movements"]] == [
        ("GONE", "api", "fra"),
        ("GONE", "worker", "fra"),
        ("GONE", "old", "fra"),
    ]
    assert told["words"].startswith("Down $5.94 on November: −$4.34 gone api (fra): egress gb,")


async def test_what_is_not_shown_is_summed_up(
    reader: Graph, sessions: Sessions, org: Organization, clock: Clock
) -> None:
    await closed_months(sessions, org, 1)
    clock.at = DECEMBER_10

    told = (await reader.ask(BILL_DIFF, sameDays=True, first=1))["organization"]["billDiff"]

    assert [x["amount"]["amount"] for x in told["movements"]] == ["-4.34"]
    assert (told["others"]["amount"], told["othersCount"]) == ("-1.60", 2)
    assert told["words"].startswith("Down $5.94 on the same days of November: ")
    refused = await reader.refusal(BILL_DIFF, first=0)
    assert refused["message"] == "first must be 1 to 1000, not 0."


async def test_money_needs_the_scope_for_it(
    http: httpx.AsyncClient, sessions: Sessions, org: Organization
) -> None:
    meter_only = Graph(http, await a_key(sessions, "usage:read", org=org))

    assert await meter_only.code(BILL_DIFF) == "FORBIDDEN"
    assert await meter_only.code(FORECAST) == "FORBIDDEN"
