"""Where the bill is going and why it moved: on the pages, in their twins, on the stream."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import httpx
import pytest

from billing.closing import close_period_now
from billing.runtime import Runtime, Sessions
from tests.web.site import Acme, text_of, use
from tests.web.test_stream import streaming
from tests.world import Clock
from web.outlook import KEPT

DECEMBER = datetime(2026, 12, 1, tzinfo=UTC)
JANUARY = datetime(2027, 1, 1, tzinfo=UTC)


@pytest.fixture
async def closed(runtime: Runtime, clock: Clock, acme: Acme) -> Acme:
    """November is invoiced; by 10 December 200 GB have gone out of a new app."""
    await close(runtime.sessions, acme, DECEMBER)
    clock.at = DECEMBER + timedelta(days=2)
    await use(runtime, acme, "200", "first", app="web", region="ams")
    clock.at = datetime(2026, 12, 10, 14, tzinfo=UTC)
    return acme


async def close(sessions: Sessions, acme: Acme, until: datetime) -> None:
    async with sessions.begin() as session:
        now = until + timedelta(days=2)
        await close_period_now(session, acme.org, until, actor="test", now=now)


async def test_the_page_says_where_it_is_going_and_how_that_is_known(
    dana: httpx.AsyncClient, acme: Acme
) -> None:
    text = text_of((await dana.get(acme.path)).text)
    body = (await dana.get(f"{acme.path}.json")).json()

    told = body["forecast"]
    assert told["low"] == body["accrued"], "the days were too uneven to promise more"
    assert Decimal(told["low"]) < Decimal(told["expected"]) < Decimal(told["high"])
    assert (
        f"On course for ${told['low']} – ${told['high']} by 30 November, {told['method']}." in text
    )
    assert told["method"].startswith("if the last 7 days continue")


async def test_before_the_third_day_it_says_when_to_come_back(
    dana: httpx.AsyncClient, acme: Acme, clock: Clock
) -> None:
    clock.at = datetime(2026, 11, 2, 23, 59, tzinfo=UTC)

    text = text_of((await dana.get(acme.path)).text)

    assert "Too early to project – check back on the 3rd." in text
    assert (await dana.get(f"{acme.path}.json")).json()["forecast"] is None


async def test_without_an_earlier_invoice_nothing_changed(
    dana: httpx.AsyncClient, acme: Acme
) -> None:
    assert "Nothing to compare with yet" in text_of((await dana.get(acme.path)).text)
    assert (await dana.get(f"{acme.path}.json")).json()["changes"] is None


async def test_the_page_says_what_changed_against_the_same_days(
    dana: httpx.AsyncClient, closed: Acme
) -> None:
    text = text_of((await dana.get(closed.path)).text)
    told = (await dana.get(f"{closed.path}.json")).json()["changes"]

    assert told["same_days"] is True
    assert told["from"]["number"] == "ACME-0001"
    assert sum(Decimal(x["amount"]) for x in told["movements"]) == Decimal(told["difference"])
    assert "on the same days of November" in text
    for movement in told["movements"][:3]:
        assert movement["words"] in text
    resources = {(x["kind"], x["resource"], x["region"]) for x in told["movements"]}
    assert {("GONE", "api", "fra"), ("NEW", "web", "ams")} <= resources


async def test_an_invoice_is_compared_with_the_one_before(
    dana: httpx.AsyncClient, sessions: Sessions, closed: Acme
) -> None:
    await close(sessions, closed, JANUARY)

    first = await dana.get(f"{closed.path}/invoices/ACME-0001")
    second = await dana.get(f"{closed.path}/invoices/ACME-0002")
    told = (await dana.get(f"{closed.path}/invoices/ACME-0002.json")).json()["changes"]

    assert "What changed?" not in first.text
    assert f"What changed? {told['words'].partition(':')[0]}" in text_of(second.text)
    assert told["to"]["number"] == "ACME-0002"
    assert (await dana.get(f"{closed.path}/invoices/ACME-0001.json")).json()["changes"] is None


async def test_both_are_pushed_with_the_days_and_not_with_every_event(
    dana: httpx.AsyncClient, runtime: Runtime, clock: Clock, closed: Acme
) -> None:
    async with streaming(dana, closed) as messages:
        first = await messages.next()
        assert "gone api" in first["changes"]
        assert "On course for" in first["now"]

        await use(runtime, closed, "500", "one", app="api", region="fra")
        news = await messages.until("now", "$10.25")
        assert "changes" not in news
        _, end = first["now"].partition("On course for")[2].split("–", 1)
        course = news["now"].partition("On course for")[2].partition("</p>")[0]
        assert "$10.25" in course, "not below what has accrued"
        assert end.partition("</p>")[0] in course, "its end as it was"

        clock.advance(KEPT)
        await use(runtime, closed, "1", "two", app="api", region="fra")
        news = await messages.until("changes", "egress")
        assert "gone api" not in news["changes"]
