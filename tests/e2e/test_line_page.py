"""A line's page without scripts, on a small screen and a large one, in both themes."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.async_api import expect

from billing.runtime import Runtime
from tests.e2e.conftest import Chromium
from tests.web.site import Acme, use
from tests.world import Clock

LONG = "a-name-that-an-app-makes-up-by-itself-0123456789abcdef0123456789abcdef"


@pytest.fixture
async def used(runtime: Runtime, acme: Acme, clock: Clock) -> Acme:
    """Some days of usage more, of apps with long names too."""
    now = clock.at
    for number in range(12):
        clock.at = datetime(2026, 11, 2, 8, 20, tzinfo=UTC) + timedelta(hours=number * 15)
        name = f"{LONG}-{number}" if number % 2 else f"event-{number}"
        await use(runtime, acme, f"{number}.25", name, app=LONG if number % 2 else "api")
    clock.at = now
    return acme


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
async def test_from_a_line_to_its_events_and_back(
    chromium: Chromium, used: Acme, tmp_path: Path, theme: str, width: int
) -> None:
    options = {
        "color_scheme": theme,
        "viewport": {"width": width, "height": 800},
        "java_script_enabled": False,
    }
    async with chromium.visit(used.path, **options) as visit:
        page = visit.page

        async def fits(name: str) -> None:
            body = page.locator("html")
            assert await body.evaluate("element => element.scrollWidth") <= width
            await page.screenshot(path=tmp_path / f"{name}-{theme}-{width}.png", full_page=True)

        await fits("bill")
        await page.get_by_role("link", name="egress", exact=True).click()
        await expect(page.get_by_role("heading", name="egress", exact=True)).to_be_visible()
        await expect(page.get_by_role("img", name="Each day of egress")).to_be_visible()
        await fits("line")
        await page.get_by_role("link", name="2 Nov 2026, 23:00 UTC").click()
        await expect(page.get_by_text(f"{LONG}-1")).to_be_visible()
        await fits("hour")
        await page.get_by_role("link", name="Current period").first.click()
        await expect(page.locator("#mtd")).to_be_visible()
        assert visit.complaints == []
