"""The page for staff, when its polls fail."""

from contextlib import AsyncExitStack
from urllib.parse import urlsplit

from playwright.async_api import Browser, expect
from sqlalchemy import update

from billing.models import User
from billing.runtime import Runtime
from sandbox.stripe.server import serving
from tests.e2e.conftest import Chromium
from web.app import create_app


async def test_old_figures_are_marked_until_a_poll_succeeds(
    runtime: Runtime, browser: Browser, token: str, open_until_the_end: AsyncExitStack
) -> None:
    async with runtime.sessions.begin() as session:
        await session.execute(update(User).values(is_ops=True))
    async with serving(create_app(runtime)) as url:
        visiting = Chromium(browser, url, token).visit("/ops")
        page = (await open_until_the_end.enter_async_context(visiting)).page
        await page.clock.install()
        await page.reload()
        async with page.expect_response("**/ops/sync"):
            await page.clock.fast_forward(6000)
        await expect(page.locator("body:not(.is-stale) #sync")).to_contain_text("on time")

    await page.clock.fast_forward(6000)
    await expect(page.locator("body.is-stale #sync")).to_contain_text("on time")
    await expect(page.get_by_role("status")).to_contain_text("No answer since")

    async with serving(create_app(runtime), urlsplit(url).port or 0):
        await page.clock.fast_forward(6000)
        await expect(page.locator("body:not(.is-stale) #sync")).to_contain_text("on time")
        await expect(page.get_by_role("status")).to_be_empty()
        await page.close()
