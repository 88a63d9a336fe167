"""A line's page: its arithmetic, its hours, an hour's events; as JSON and CSV too."""

import re
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from billing.models import Organization
from billing.runtime import Runtime, Sessions
from tests.api.graphql import a_key
from tests.explained import AFTER_GRACE, an_explained_acme, close, send, void
from tests.web.site import a_person, sign_in, text_of
from tests.world import NOVEMBER_10, Clock

PATH = "/orgs/acme/billing"
EGRESS = f"{PATH}/lines/0/pro/egress/USD@1"
INVOICED = f"{PATH}/invoices/ACME-0001/lines/0"
NOVEMBER_2 = datetime(2026, 11, 2, 10, 20, tzinfo=UTC)


@pytest.fixture
async def org(runtime: Runtime) -> Organization:
    """8 GB of egress, and 100 GB that were sent by mistake."""
    org = await an_explained_acme(runtime)
    await send(runtime, "a", "5", NOVEMBER_2)
    await send(runtime, "wrong", "100", NOVEMBER_2)
    await send(runtime, "<b>", "3", NOVEMBER_10, app="web", region="fra")
    await void(runtime, "wrong")
    return org


@pytest.fixture
async def dana(
    browser: httpx.AsyncClient, runtime: Runtime, org: Organization
) -> httpx.AsyncClient:
    """Acme's owner, signed in."""
    async with runtime.sessions.begin() as session:
        email = await a_person(session, "dana@acme.example", org)
    await sign_in(browser, runtime, email)
    return browser


async def follow(browser: httpx.AsyncClient, html: str, name: str) -> str:
    """Where a link of this name leads."""
    found = re.search(rf'href="([^"]+)"[^>]*>(?:<time[^>]*>)?{re.escape(name)}<', html)
    assert found, name
    return (await browser.get(found[1].replace("&amp;", "&"))).raise_for_status().text


async def test_from_the_bill_to_a_line_to_an_hour_and_back(dana: httpx.AsyncClient) -> None:
    bill = (await dana.get(PATH)).text
    line = await follow(dana, bill, "egress")

    text = text_of(line)
    assert "8 GB × $0.10 = $0.80" in text
    assert "2 Nov 2026, 10:00 UTC 5 GB 1" in text
    assert "10 Nov 2026, 14:00 UTC 3 GB 1" in text
    assert "Most 5 GB" in text
    assert line.count("<rect") == 30, "a column for every day"

    hour = await follow(dana, line, "2 Nov 2026, 10:00 UTC")
    text = text_of(hour)
    assert "a from test 10:20:00 UTC 10 Nov, 14:00:00 UTC app api 5 GB" in text
    assert "Voided 10 Nov 2026, 14:00 UTC : sent twice" in text
    assert "&lt;b&gt;" not in hour, "another hour's"

    assert "8 GB × $0.10" in text_of(await follow(dana, hour, "egress"))
    assert await follow(dana, hour, "Current period")
    assert "<script" not in line + hour


async def test_what_people_named_is_escaped(dana: httpx.AsyncClient) -> None:
    hour = (await dana.get(f"{EGRESS}?hour=2026111014")).text

    assert "<code>&lt;b&gt;</code>" in hour
    assert "app web, region fra" in text_of(hour)


async def test_hours_and_events_for_scripts(dana: httpx.AsyncClient) -> None:
    hours = (await dana.get(f"{EGRESS}.json")).json()
    events = (await dana.get(f"{EGRESS}.json?hour=2026110210")).json()

    assert (hours["meter"], hours["unit"], hours["next"]) == ("egress_gb", "GB", None)
    assert hours["line"]["amount"] == "0.80"
    assert hours["hours"] == [
        {"start": "2026-11-02T10:00:00.000000Z", "quantity": "5", "event_count": 1},
        {"start": "2026-11-10T14:00:00.000000Z", "quantity": "3", "event_count": 1},
    ]
    assert [(x["id"], x["is_voided"], x["void_reason"]) for x in events["events"]] == [
        ("a", False, None),
        ("wrong", True, "sent twice"),
    ]
    csv = (await dana.get(f"{EGRESS}.csv")).text.splitlines()
    assert csv[1:] == [
        "2026-11-02T10:00:00.000000Z,5,1",
        "2026-11-10T14:00:00.000000Z,3,1",
    ]
    csv = (await dana.get(f"{EGRESS}.csv?hour=2026110210")).text.splitlines()
    assert [row.split(",")[0] for row in csv] == ["id", "a", "wrong"]
    assert '"{""app"": ""api""}",True' in csv[2]


async def test_pages_go_on_where_the_one_before_ended(
    dana: httpx.AsyncClient, runtime: Runtime
) -> None:
    """51 hours, and 50 more events in the first of them."""
    for number in range(50):
        await send(runtime, f"h{number}", "1", NOVEMBER_2 + timedelta(hours=number + 1))
        await send(runtime, f"e{number:02}", "1", NOVEMBER_2 + timedelta(seconds=number + 1))

    for query, kind, name, last in (
        ("", "hours", "start", "2026-11-10T14:00:00.000000Z"),
        ("?hour=2026110210", "events", "id", "e49"),
    ):
        first = (await dana.get(f"{EGRESS}.json{query}")).json()
        second = (await dana.get(first["next"])).json()
        assert [len(first[kind]), len(second[kind])] == [48, 4]
        assert second["next"] is None
        assert second[kind][-1][name] == last
        html = (await dana.get(f"{EGRESS}{query}")).text
        more = await follow(dana, html, f"{'Later' if kind == 'hours' else 'More'} {kind}")
        assert text_of(await follow(dana, more, f"First {kind}")) == text_of(html)


async def test_an_invoiced_line_is_as_of_its_issue(
    dana: httpx.AsyncClient, runtime: Runtime, clock: Clock
) -> None:
    await close(runtime, clock, AFTER_GRACE)
    clock.advance(timedelta(minutes=1))
    await send(runtime, "late", "7", NOVEMBER_2)

    invoice = (await dana.get(f"{PATH}/invoices/ACME-0001")).text
    line = await follow(dana, invoice, "egress")
    assert "2 Nov 2026, 10:00 UTC 5 GB 1" in text_of(line)
    assert "Invoice ACME-0001" in line

    correction = f"{PATH}/lines/0/pro/egress/USD~ACME-0001"
    assert correction in (await dana.get(PATH)).text
    text = text_of((await dana.get(correction)).text)
    assert "Corrects ACME-0001" in text
    assert "2 Nov 2026, 10:00 UTC 12 GB 2" in text


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"{PATH}/lines/1/pro/egress/USD@1", 404),
        (f"{PATH}/lines/0/pro/base/USD@1", 404),
        (f"{PATH}/lines/0/%00", 404),
        (f"{PATH}/invoices/ACME-0001/lines/0", 404),
        (f"{EGRESS}?hour=now", 422),
        (f"{EGRESS}?after=-1", 422),
        (f"{EGRESS}?hour=2026111014&after=20261110140000000000-zz-00", 422),
        (f"{EGRESS}?hour=2026111014&after=20261110140000000000-00-00", 422),
        ("/orgs/nobody/billing/lines/0/pro/egress/USD@1", 404),
    ],
)
async def test_what_is_not_there_is_refused(
    dana: httpx.AsyncClient, path: str, status: int
) -> None:
    page, for_scripts = path.partition("?")[0], path.partition("?")[2]
    assert (await dana.get(path)).status_code == status
    assert (await dana.get(f"{page}.json?{for_scripts}")).status_code == status


async def test_no_line_of_an_invoice_that_is_a_fee_or_beyond_its_end(
    dana: httpx.AsyncClient, runtime: Runtime, clock: Clock
) -> None:
    await close(runtime, clock, AFTER_GRACE)

    statuses = [
        (await dana.get(f"{PATH}/invoices/ACME-0001/lines/{position}")).status_code
        for position in (0, 1, 9)
    ]
    assert statuses == [200, 404, 404]


async def test_events_need_the_scope_for_usage(
    browser: httpx.AsyncClient, sessions: Sessions, org: Organization
) -> None:
    for scopes, status in ((["billing:read"], 403), (["billing:read", "usage:read"], 200)):
        key = await a_key(sessions, *scopes, org=org)
        found = await browser.get(f"{EGRESS}.json", headers={"Authorization": f"Bearer {key}"})
        assert found.status_code == status
    assert (await browser.get(EGRESS)).status_code == 303
