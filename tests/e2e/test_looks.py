"""The pages without scripts, on a small screen, in both themes."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.async_api import expect

from billing.closing import close_period_now
from billing.runtime import Sessions
from tests.e2e.conftest import Chromium
from tests.web.site import Acme
from tests.world import Clock

DECEMBER = datetime(2026, 12, 1, tzinfo=UTC)


async def test_without_scripts_the_page_is_whole(chromium: Chromium, acme: Acme) -> None:
    async with chromium.visit(acme.path, java_script_enabled=False) as visit:
        page = visit.page
        await expect(page.locator("#mtd")).to_have_text("$5.94")
        await expect(page.locator("#cost-total")).to_contain_text("$5.94")
        await page.get_by_role("link", name="Region").click()
        await expect(page.locator("#costs tbody tr").first).to_contain_text("fra")
        await page.get_by_role("link", name="Refresh for newer").click()
        await expect(page.locator("#costs tbody tr").first).to_contain_text("fra")
        await expect(page.locator("#live-mark")).to_be_hidden()
        await page.get_by_role("button", name="Sign out").click()
        await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
async def test_pages_fit_the_screen_in_both_themes(
    chromium: Chromium,
    acme: Acme,
    sessions: Sessions,
    clock: Clock,
    tmp_path: Path,
    theme: str,
    width: int,
) -> None:
    now = clock.advance(DECEMBER - clock.at + timedelta(days=2))
    async with sessions.begin() as session:
        await close_period_now(session, acme.org, DECEMBER, actor="test", now=now)

    options = {"color_scheme": theme, "viewport": {"width": width, "height": 800}}
    async with chromium.visit(f"{acme.path}?live=off", **options) as visit:
        page = visit.page
        background = await page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert background == {"light": "rgb(246, 247, 249)", "dark": "rgb(12, 14, 18)"}[theme]
        for number, path in enumerate(("?live=off", "/invoices", "/invoices/ACME-0001", "/none")):
            await page.goto(f"{acme.path}{path}")
            assert await page.evaluate("document.documentElement.scrollWidth") <= width
            await page.screenshot(path=tmp_path / f"{number}.png", full_page=True)
        assert [said for said in visit.complaints if "404" not in said] == []


async def test_the_keyboard_alone_reaches_everything(chromium: Chromium, acme: Acme) -> None:
    async with chromium.visit(f"{acme.path}?live=off") as visit:
        page, reached = visit.page, []
        for _ in range(30):
            await page.keyboard.press("Tab")
            reached.append(await page.evaluate("document.activeElement.textContent.trim()"))

    assert reached[0] == "Skip to content"
    assert {"Sign out", "Invoices", "Resume", "Region", "As a table", "JSON"} <= set(reached)
