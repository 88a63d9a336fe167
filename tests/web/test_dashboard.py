import csv
import io
from datetime import UTC, datetime
from decimal import Decimal

import httpx
import pytest
from sqlalchemy import select

from billing.closing import close_due
from billing.models import Meter, Subscription
from billing.runtime import Runtime, Sessions
from tests.factories import a_meter, counted
from tests.web.site import Acme, an_acme, sign_in, text_of, use
from tests.world import NOVEMBER_10, Clock
from web.costs import GROUPS, ROWS_SHOWN_MAX

HOSTILE = '<script>alert("app")</script>'


async def test_the_page_says_what_is_owed_and_why(dana: httpx.AsyncClient, acme: Acme) -> None:
    page = await dana.get(acme.path)
    text = text_of(page.text)

    assert page.status_code == 200
    assert '<data value="5.94">$5.94</data>' in page.text
    assert "$5.94 so far in November" in text
    assert "Usage so far $5.94" in text
    assert "Next period’s fees in advance $29.00" in text
    assert "Invoice so far $34.94" in text
    assert "412.6 GB − 100 GB included = 312.6 GB" in text
    assert "first 250 GB × $0.02 = $5.00 + next 62.6 GB × $0.015 = $0.939" in text
    assert "→ $5.939, rounded to $5.94" in text
    assert "1–30 Nov 2026 (UTC)" in text
    assert "Draft 1–30 Nov 2026 Estimating $34.94" in text
    assert "Your first invoice will be issued after 1 Dec 2026" in text
    assert "Sending invoices to our payment processor is delayed." not in text


@pytest.mark.parametrize("group", GROUPS)
async def test_page_json_and_csv_hold_one_figure(
    dana: httpx.AsyncClient, acme: Acme, group: str
) -> None:
    page = (await dana.get(f"{acme.path}?group={group}")).text
    told = (await dana.get(f"{acme.path}.json?group={group}")).json()
    costs = table((await dana.get(f"{acme.path}.csv?group={group}")).text)

    assert told["accrued"] == "5.94"
    assert f'<td class="number"><data value="{told["accrued"]}">' in page.partition("<tfoot>")[2]
    assert [(row["name"], row["amount"]) for row in told["costs"]["rows"]] == [
        (row[0] or told["costs"]["rows"][i]["name"], row[1]) for i, row in enumerate(costs[1:])
    ]
    for row in told["costs"]["rows"]:
        assert row["name"] in page
        assert f'value="{row["amount"]}"' in page


async def test_json_tells_everything_exactly(dana: httpx.AsyncClient, acme: Acme) -> None:
    told = (await dana.get(f"{acme.path}.json")).json()

    assert (told["total"], told["in_advance"], told["currency"]) == ("34.94", "29.00", "USD")
    assert told["period"] == {
        "from": "2026-11-01T00:00:00.000000Z",
        "to": "2026-12-01T00:00:00.000000Z",
    }
    usage = told["lines"][0]
    assert (usage["quantity"], usage["exact_amount"], usage["amount"]) == ("412.6", "5.939", "5.94")
    assert [(x["kind"], x["quantity"], x["amount"]) for x in usage["steps"]] == [
        ("ALLOWANCE", "100", "0"),
        ("TIER", "250", "5"),
        ("TIER", "62.6", "0.939"),
    ]
    assert [(x["value"], x["amount"]) for x in told["costs"]["rows"]] == [
        ("api", "4.34"),
        ("worker", "1.41"),
        (None, "0.19"),
    ]
    assert len(told["daily"]) == 10
    assert len(told["digest"]) == 64


async def test_the_lines_as_csv(dana: httpx.AsyncClient, acme: Acme) -> None:
    answer = await dana.get(f"{acme.path}.csv")
    header, usage, fee = table(answer.text)

    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert 'filename="acme-2026-11-draft.csv"' in answer.headers["content-disposition"]
    assert dict(zip(header, usage, strict=True))["exact_amount"] == "5.939"
    assert fee[-2:] == ["29.00", "USD"]


async def test_what_people_name_is_never_markup(
    dana: httpx.AsyncClient, runtime: Runtime, acme: Acme
) -> None:
    await use(runtime, acme, "50", "one", app=HOSTILE, region="=1+1")

    page = (await dana.get(acme.path)).text
    regions = (await dana.get(f"{acme.path}.csv?group=region")).text

    assert "&lt;script&gt;alert" in page
    assert HOSTILE not in page
    assert "'=1+1" in regions, "a spreadsheet would run it"


async def test_thousands_of_apps_are_the_dearest_and_the_rest(
    dana: httpx.AsyncClient, sessions: Sessions, acme: Acme
) -> None:
    async with sessions.begin() as session:
        meter = (await session.scalars(select(Meter))).one()
        for number in range(ROWS_SHOWN_MAX):
            await counted(session, acme.org.id, meter, 200, NOVEMBER_10, app=f"app-{number}")

    page = (await dana.get(acme.path)).text
    told = (await dana.get(f"{acme.path}.json")).json()

    rows = [Decimal(row["amount"]) for row in told["costs"]["rows"]]
    assert len(rows) == ROWS_SHOWN_MAX + 3
    assert sum(rows) == Decimal(told["accrued"])
    text = text_of(page)
    assert "3 more 3.0 %" in text
    assert f"${sum(rows[ROWS_SHOWN_MAX:])} Total ${told['accrued']}" in text


async def test_usage_without_a_price_is_never_silent(
    dana: httpx.AsyncClient, sessions: Sessions, acme: Acme
) -> None:
    async with sessions.begin() as session:
        meter = await a_meter(session, "gpu_hours")
        await counted(session, acme.org.id, meter, "2.5", NOVEMBER_10)

    page = text_of((await dana.get(acme.path)).text)

    assert "Some usage has no price yet. It is kept and not part of any figure here" in page
    assert "2.5 GB of gpu_hours" in page
    assert "No invoice will have it until it has a price." in page
    assert "$5.94 so far in November" in page


async def test_live_updates_can_be_paused(dana: httpx.AsyncClient, acme: Acme) -> None:
    live = (await dana.get(acme.path)).text
    paused = (await dana.get(f"{acme.path}?live=off&group=region")).text

    assert f'hx-sse:connect="{acme.path}/stream?group=app"' in live
    assert "Pause live updates" in live
    assert "<noscript>" in live
    assert "hx-sse" not in paused
    assert "<script" not in paused
    assert 'href="?group=region">Resume</a>' in paused


async def test_an_unknown_grouping_is_refused(dana: httpx.AsyncClient, acme: Acme) -> None:
    for twin in ("", ".json", ".csv", "/stream"):
        refused = await dana.get(f"{acme.path}{twin}?group=colour")
        assert refused.status_code == 422
        assert "Costs are grouped by app, product, region, resource." in refused.text


async def test_another_period_and_currency_are_spelled_right(
    dana: httpx.AsyncClient, runtime: Runtime, sessions: Sessions, acme: Acme
) -> None:
    async with sessions.begin() as session:
        org = await session.merge(acme.org)
        org.anchor_day = 15

    page = text_of((await dana.get(acme.path)).text)

    assert "so far since 15 October" in page
    assert "15 Oct – 14 Nov 2026 (UTC)" in page


def table(text: str) -> list[list[str]]:
    """CSV, read."""
    return list(csv.reader(io.StringIO(text)))


async def test_usage_within_the_allowance_is_usage(
    dana: httpx.AsyncClient, runtime: Runtime, sessions: Sessions
) -> None:
    solo = await an_acme(sessions, "solo", usage=())
    await sign_in(dana, runtime, solo.email)
    assert "No usage yet this month." in (await dana.get(solo.path)).text

    await use(runtime, solo, "40", "one", app="api")
    page = (await dana.get(solo.path)).text

    assert "Everything so far is included." in page
    assert "No usage yet" not in page


async def test_a_period_that_is_closing_says_what_it_comes_to_so_far(
    dana: httpx.AsyncClient, acme: Acme, runtime: Runtime, clock: Clock
) -> None:
    clock.at = datetime(2026, 12, 1, 10, tzinfo=UTC)
    await close_due(runtime)

    listed = (await dana.get(f"{acme.path}/invoices.json")).json()["invoices"]
    page = text_of((await dana.get(acme.path)).text)

    assert [(x["total"], x["estimated_total"]) for x in listed[:1]] == [(None, "34.94")]
    assert "1–30 Nov 2026 Closing issued after 2 Dec 2026, 00:00 UTC $34.94 so far" in page


async def test_the_plan_is_on_the_page_and_in_its_twin(
    dana: httpx.AsyncClient, acme: Acme, sessions: Sessions
) -> None:
    async with sessions.begin() as session:
        (subscription,) = await session.scalars(select(Subscription))
        subscription.trial_ends_at = datetime(2026, 11, 12, tzinfo=UTC)
        subscription.ends_at = datetime(2026, 11, 20, 15, tzinfo=UTC)
    page = text_of((await dana.get(acme.path)).text)
    told = (await dana.get(f"{acme.path}.json")).json()

    assert "Acme-Pro 1 Jan 2025 12 Nov 2026, 00:00 UTC 20 Nov 2026, 15:00 UTC" in page
    assert told["plans"] == [
        {
            "plan": "acme-pro",
            "name": "Acme-Pro",
            "starts_at": "2025-01-01T00:00:00.000000Z",
            "trial_ends_at": "2026-11-12T00:00:00.000000Z",
            "ends_at": "2026-11-20T15:00:00.000000Z",
        }
    ]
