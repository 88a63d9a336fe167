"""A person sets their maximum, and sees the whole bill reduced, on every screen."""

from decimal import Decimal
from pathlib import Path

import pytest
from playwright.async_api import expect

from billing.coupons import NewCoupon, create_coupon
from billing.credits import NewGrant, grant_credit
from billing.rules.reductions import GrantKind
from billing.runtime import Runtime, Sessions
from billing.taxes import set_tax_rate
from tests.e2e.conftest import Chromium
from tests.web.site import Acme, use
from tests.world import NOVEMBER_10


async def reduce(sessions: Sessions, acme: Acme) -> None:
    """A coupon, credit of both kinds, and tax."""
    org, ops = acme.org, "ops"
    ten = NewCoupon("launch", "Launch offer", Decimal(10))
    async with sessions.begin() as session:
        await create_coupon(session, org, ten, actor=ops, now=NOVEMBER_10)
        for kind in GrantKind:
            gift = NewGrant(kind.lower(), f"{kind.capitalize()} credit", kind, Decimal(5))
            await grant_credit(session, org, gift, actor=ops, now=NOVEMBER_10)
        await set_tax_rate(session, org, "VAT", Decimal(20), actor=ops, now=NOVEMBER_10)


async def test_a_maximum_is_set_seen_refused_and_removed(chromium: Chromium, acme: Acme) -> None:
    async with chromium.visit(f"{acme.path}?live=off") as visit:
        page = visit.page
        await page.get_by_label("Maximum a month").fill("5")
        await page.get_by_role("button", name="Set").click()
        await expect(page.get_by_role("alert")).to_contain_text("The fixed fees come to $29.00")
        await page.get_by_label("Maximum a month").fill("50")
        await page.get_by_role("button", name="Set").click()
        await expect(page.locator("#maximum")).to_contain_text("Your maximum is $50.00. It stops")
        await page.get_by_role("button", name="Remove it").click()
        await expect(page.locator("#maximum")).to_contain_text("You have no maximum.")
        assert [said for said in visit.complaints if "422" not in said] == []


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
async def test_a_reduced_bill_fits_the_screen_in_both_themes(
    chromium: Chromium,
    runtime: Runtime,
    acme: Acme,
    tmp_path: Path,
    theme: str,
    width: int,
) -> None:
    await reduce(runtime.sessions, acme)
    await use(runtime, acme, "400", "one", app="api")
    options = {"color_scheme": theme, "viewport": {"width": width, "height": 800}}
    async with chromium.visit(acme.path, **options) as visit:
        page = visit.page
        await page.get_by_label("Maximum a month").fill("40")
        await page.get_by_role("button", name="Set").click()
        await expect(page.locator("#maximum")).to_contain_text("Your maximum is $40.00.")
        await use(runtime, acme, "9000", "two", app="api")
        await expect(page.locator("#maximum")).to_contain_text("above it is free.")
        await expect(page.locator("#now")).to_contain_text("Credits and discounts")
        await expect(page.get_by_label("100 % of your maximum")).to_be_visible()
        assert await page.evaluate("document.documentElement.scrollWidth") <= width
        await page.screenshot(path=tmp_path / "reduced.png", full_page=True)
        assert visit.complaints == []
