"""Current charges and usage: the figures of the estimate, exactly, as text."""

from datetime import UTC, datetime

import httpx
import pytest

from billing.catalog import meters
from billing.estimates import current_estimate
from billing.models import Organization
from billing.rules.periods import Period
from billing.runtime import Runtime, Sessions
from billing.usage.curves import Interval, Spacing, usage_over_time
from tests.api.graphql import Graph, a_key, on_a_plan, statements
from tests.factories import a_meter, counted
from tests.world import NOVEMBER_10, Clock

MONEY = "{ amount currency }"
CHARGES = f"""
query($slug: String!) {{ organization(slug: $slug) {{ currentCharges {{
    period {{ start end }} asOf digest
    accrued {MONEY} inAdvance {MONEY} total {MONEY}
    lines {{
        key kind description segment quantity unit exactAmount amount {MONEY}
        steps {{ kind quantity unitAmount exactAmount upTo }}
    }}
    unpriced {{ meter quantity unit }}
    freshness {{ source lateBySeconds }}
}} }} }}
"""
SPENT_ON = """
query($slug: String!, $dimension: String!, $first: Int) { organization(slug: $slug) {
    currentCharges { accrued { amount } by(dimension: $dimension, first: $first) {
        shares { value amount { amount } } others { amount } othersCount
    } }
} }
"""
USED = """
query($from: DateTime, $to: DateTime, $interval: Interval! = DAY, $by: String, $meter: String!) {
    organization(slug: "acme") {
        usage(meter: $meter, from: $from, to: $to, interval: $interval, groupBy: $by) {
            meter { unit } period { start end } points { start group quantity }
        }
    }
}
"""


@pytest.fixture
async def reader(http: httpx.AsyncClient, sessions: Sessions, org: Organization) -> Graph:
    """A key that may read what its organization used and owes."""
    await on_a_plan(sessions, org)
    return Graph(http, await a_key(sessions, "billing:read", "usage:read", org=org))


async def test_the_figures_are_the_estimates(
    reader: Graph, sessions: Sessions, org: Organization
) -> None:
    charges = (await reader.ask(CHARGES, slug="acme"))["organization"]["currentCharges"]
    async with sessions() as session:
        estimate = await current_estimate(session, org, NOVEMBER_10)

    assert charges["digest"] == estimate.digest
    assert charges["accrued"] == {"amount": "5.94", "currency": "USD"}
    assert charges["inAdvance"] == {"amount": "29.00", "currency": "USD"}
    assert charges["total"] == {"amount": str(estimate.total.major), "currency": "USD"}
    assert charges["asOf"] == "2026-11-10T14:00:00Z"
    assert charges["period"] == {"start": "2026-11-01T00:00:00Z", "end": "2026-12-01T00:00:00Z"}


async def test_a_line_shows_its_arithmetic(reader: Graph) -> None:
    charges = (await reader.ask(CHARGES, slug="acme"))["organization"]["currentCharges"]

    egress, fee = charges["lines"]
    assert egress["key"] == "pro/egress/USD@1"
    assert (egress["quantity"], egress["unit"]) == ("412.6", "GB")
    assert (egress["exactAmount"], egress["amount"]["amount"]) == ("5.939", "5.94")
    assert [tuple(step.values()) for step in egress["steps"]] == [
        ("ALLOWANCE", "100", "0", "0", None),
        ("TIER", "250", "0.02", "5", "250"),
        ("TIER", "62.6", "0.015", "0.939", None),
    ]
    assert (fee["kind"], fee["amount"]["amount"]) == ("FEE_IN_ADVANCE", "29.00")


async def test_usage_without_a_price_is_shown(
    reader: Graph, sessions: Sessions, org: Organization
) -> None:
    async with sessions.begin() as session:
        meter = await a_meter(session, "gpu_hours")
        await counted(session, org.id, meter, "1200.50", NOVEMBER_10)

    charges = (await reader.ask(CHARGES, slug="acme"))["organization"]["currentCharges"]
    assert charges["unpriced"] == [{"meter": "gpu_hours", "quantity": "1200.5", "unit": "GB"}]


@pytest.mark.parametrize("dimension", ["app", "region", "product"])
async def test_the_parts_and_the_rest_are_the_whole(reader: Graph, dimension: str) -> None:
    charges = await reader.ask(SPENT_ON, slug="acme", dimension=dimension, first=1)
    by = charges["organization"]["currentCharges"]["by"]
    amounts = [share["amount"]["amount"] for share in by["shares"]] + [by["others"]["amount"]]

    assert len(by["shares"]) == 1
    assert sum(int(amount.replace(".", "")) for amount in amounts) == 594


async def test_the_dearest_app_comes_first(reader: Graph) -> None:
    answer = await reader.ask(SPENT_ON, slug="acme", dimension="app", first=2)
    by = answer["organization"]["currentCharges"]["by"]

    assert [x["value"] for x in by["shares"]] == ["api", "worker"]
    assert (by["others"]["amount"], by["othersCount"]) == ("0.19", 1)


async def test_a_breakdown_by_what_no_meter_tells_apart_is_refused(reader: Graph) -> None:
    refusal = await reader.refusal(SPENT_ON, slug="acme", dimension="aap")

    assert refusal["extensions"]["reason"] == "UNKNOWN_DIMENSION"
    assert refusal["message"].endswith("Did you mean 'app'?")


async def test_aliases_share_one_estimate(reader: Graph, runtime: Runtime) -> None:
    fields = " ".join(
        f'a{n}: currentCharges {{ by(dimension: "app") {{ othersCount }} }}' for n in "123"
    )
    with statements(runtime.engine) as sent:
        await reader.ask(f'{{ organization(slug: "acme") {{ {fields} }} }}')

    assert sum("usage_buckets" in one for one in sent) == 1


async def test_a_breakdown_has_a_size(reader: Graph) -> None:
    asked = {"slug": "acme", "dimension": "app", "first": 0}

    assert await reader.code(SPENT_ON, **asked) == "VALIDATION"


async def test_usage_by_day_and_by_app(reader: Graph) -> None:
    usage = (await reader.ask(USED, meter="egress_gb", by="app"))["organization"]["usage"]

    assert usage["meter"]["unit"] == "GB"
    assert [tuple(point.values()) for point in usage["points"]] == [
        ("2026-11-02T00:00:00Z", "api", "301.2"),
        ("2026-11-03T00:00:00Z", "worker", "98"),
        ("2026-11-09T00:00:00Z", "old", "13.4"),
    ]


async def test_usage_of_a_stretch_is_widened_to_whole_hours(reader: Graph) -> None:
    usage = (
        await reader.ask(
            USED,
            **{"from": "2026-11-02T13:30:00+01:00", "to": "2026-11-03T12:30:00Z"},
            meter="egress_gb",
            interval="HOUR",
        )
    )["organization"]["usage"]

    assert usage["period"] == {"start": "2026-11-02T12:00:00Z", "end": "2026-11-03T13:00:00Z"}
    assert [tuple(point.values()) for point in usage["points"]] == [
        ("2026-11-02T12:00:00Z", None, "301.2"),
        ("2026-11-03T12:00:00Z", None, "98"),
    ]


@pytest.mark.parametrize(
    ("asked", "code", "words"),
    [
        ({"meter": "egres_gb"}, "NOT_FOUND", "Did you mean 'egress_gb'?"),
        ({"meter": "egress_gb", "by": "zone"}, "VALIDATION", "it has app, region"),
        ({"meter": "egress_gb", "to": "2026-10-01T00:00:00Z"}, "VALIDATION", "before"),
        ({"meter": "egress_gb", "from": "9999-12-31T23:59:59Z"}, "VALIDATION", "1970 to 2199"),
        ({"meter": "egress_gb", "from": "0001-01-01T00:00:00Z"}, "VALIDATION", "1970 to 2199"),
        ({"meter": "egress_gb", "to": "0001-01-01T00:00:00+14:00"}, "VALIDATION", "1970 to 2199"),
        (
            {"meter": "egress_gb", "interval": "HOUR", "from": "2026-01-01T00:00:00Z"},
            "VALIDATION",
            "at most 31 days",
        ),
    ],
)
async def test_usage_that_cannot_be_asked_for(
    reader: Graph, asked: dict[str, str], code: str, words: str
) -> None:
    refusal = await reader.refusal(USED, **asked)

    assert refusal["extensions"]["code"] == code
    assert words in refusal["message"]


async def test_no_more_of_a_curve_is_read_than_may_be_shown(
    reader: Graph, sessions: Sessions, org: Organization
) -> None:
    november = Period(datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC))
    async with sessions() as session:
        [meter] = await meters(session)
        points = await usage_over_time(
            session, org.id, meter, november, Spacing(Interval.DAY, 2), upto=NOVEMBER_10
        )

    assert [point.start.day for point in points] == [2, 3]


async def test_the_open_period_moves_with_the_clock(
    reader: Graph, clock: Clock, sessions: Sessions, org: Organization
) -> None:
    clock.at = datetime(2026, 12, 3, tzinfo=UTC)

    charges = (await reader.ask(CHARGES, slug="acme"))["organization"]["currentCharges"]
    assert charges["period"]["start"] == "2026-12-01T00:00:00Z"
    assert charges["accrued"]["amount"] == "0.00"
