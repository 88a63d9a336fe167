"""The billing page as a person has it before them: it moves by itself, and never lies."""

import asyncio
from contextlib import AsyncExitStack
from datetime import timedelta
from urllib.parse import urlsplit

from playwright.async_api import Browser, expect
from sqlalchemy import delete

from billing.models import WebSession
from billing.runtime import Runtime
from sandbox.stripe.server import serving
from tests.e2e.conftest import Chromium
from tests.web.site import Acme, use
from tests.world import Clock
from web.app import create_app
from web.dashboard import SILENT_SECONDS_MAX


async def test_the_number_moves_without_a_reload(
    chromium: Chromium, runtime: Runtime, clock: Clock, acme: Acme
) -> None:
    async with chromium.visit(acme.path) as visit:
        page = visit.page
        await expect(page.locator("#mtd")).to_have_text("$5.94")
        await expect(page.locator("#live-mark")).to_be_visible()
        await page.get_by_text("As a table").click()
        await page.evaluate("document.body.dataset.kept = 'since the page was loaded'")

        clock.advance(timedelta(minutes=2))
        await use(runtime, acme, "100", "one", app="worker", region="fra")

        await expect(page.locator("#mtd")).to_have_text("$7.44")
        await expect(page.locator("#cost-total")).to_contain_text("$7.44")
        await expect(page.locator("#costs tbody tr").first).to_contain_text("api")
        await expect(page.locator("#lines")).to_contain_text("512.6 GB − 100 GB included")
        await expect(page.locator("#freshness")).to_contain_text("14:02:00 UTC")
        await expect(page.locator("#chart details td").first).to_be_visible()
        await expect(page.locator("[data-kept]")).to_have_count(1)
        assert visit.complaints == []
        assert sum("/stream" in url for url in visit.requests) == 1


async def test_an_open_page_goes_on_into_the_next_month(
    chromium: Chromium, runtime: Runtime, clock: Clock, acme: Acme
) -> None:
    async with chromium.visit(acme.path) as visit:
        page = visit.page
        await expect(page).to_have_title("Acme in November · Stripe Sync")
        await expect(page.locator("#live-mark")).to_be_visible()

        clock.advance(timedelta(days=25))
        await use(runtime, acme, "100", "one", app="worker", region="fra")

        await expect(page.locator("#now")).to_contain_text("so far in December")
        await expect(page.locator("#draft_for")).to_contain_text("1–31 Dec 2026")
        await expect(page.locator("h1")).to_contain_text("December")
        await expect(page).to_have_title("Acme in December · Stripe Sync")
        await expect(page.locator("#chart")).not_to_contain_text("first bars")


async def test_names_are_text_also_when_they_arrive_live(
    chromium: Chromium, runtime: Runtime, acme: Acme
) -> None:
    hostile = '<img src=x onerror="alert(1)"><hx-partial hx-target="#mtd">$0.00</hx-partial>'
    async with chromium.visit(acme.path) as visit:
        await expect(visit.page.locator("#live-mark")).to_be_visible()
        await use(runtime, acme, "100", "one", app=hostile, region="fra")

        await expect(visit.page.locator("#costs")).to_contain_text(hostile)
        await expect(visit.page.locator("#mtd")).to_have_text("$7.44")
        assert visit.complaints == []


async def test_a_server_that_is_gone_is_told_and_its_return_too(
    runtime: Runtime, browser: Browser, token: str, acme: Acme, open_until_the_end: AsyncExitStack
) -> None:
    async with serving(create_app(runtime)) as url:
        visiting = Chromium(browser, url, token).visit("/healthz")
        visit = await open_until_the_end.enter_async_context(visiting)
        page = visit.page
        await page.clock.install()
        await page.goto(acme.path)
        await expect(page.locator("#live-mark")).to_be_visible()

    await page.clock.fast_forward((SILENT_SECONDS_MAX + 5) * 1000)
    await expect(page.locator("body.is-stale #mtd")).to_have_text("$5.94")
    status = page.get_by_role("status")
    await expect(status).to_contain_text("Live updates stopped. These figures count usage up to")
    await expect(page.locator("#live-mark")).to_be_hidden()

    await use(runtime, acme, "100", "one", app="worker", region="fra")
    async with serving(create_app(runtime), urlsplit(url).port or 0):
        fresh = page.locator("body:not(.is-stale) #mtd", has_text="$7.44")
        async with asyncio.timeout(20):
            while not await fresh.count():  # the browser waits longer after each try
                await page.clock.fast_forward(SILENT_SECONDS_MAX * 1000 // 2)
        await expect(status).to_have_text("Live updates are back.")
        await page.close()


async def test_a_session_that_ends_keeps_the_figures_and_the_peace(
    runtime: Runtime, browser: Browser, token: str, acme: Acme, open_until_the_end: AsyncExitStack
) -> None:
    async with serving(create_app(runtime)) as url:
        visiting = Chromium(browser, url, token).visit(acme.path)
        visit = await open_until_the_end.enter_async_context(visiting)
        await expect(visit.page.locator("#live-mark")).to_be_visible()
    async with runtime.sessions.begin() as session:
        await session.execute(delete(WebSession))

    async with serving(create_app(runtime), urlsplit(url).port or 0):
        async with visit.page.expect_response(lambda answer: answer.status == 401):
            pass
        await visit.page.wait_for_timeout(2000)
        assert sum("/stream" in address for address in visit.requests) < 8
        assert not any("/login" in address for address in visit.requests)
        await expect(visit.page.locator("#mtd")).to_have_text("$5.94")
        await visit.page.close()
