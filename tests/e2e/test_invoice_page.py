"""An invoice's page while the invoice is paid elsewhere."""

from datetime import UTC, datetime

from playwright.async_api import expect
from sqlalchemy import update

from billing.closing import close_period_now
from billing.models import Invoice, InvoiceStatus, InvoiceSync, SyncState
from billing.runtime import Runtime
from tests.e2e.conftest import Chromium
from tests.web.site import Acme
from tests.world import Clock

DECEMBER = datetime(2026, 12, 1, tzinfo=UTC)


async def test_paying_changes_all_the_page_says_and_ends_its_asking(
    chromium: Chromium, runtime: Runtime, clock: Clock, acme: Acme
) -> None:
    now = clock.advance(DECEMBER - clock.at)
    sent = {"state": SyncState.PUSHED, "hosted_invoice_url": "https://pay.example/1"}
    async with runtime.sessions.begin() as session:
        await close_period_now(session, acme.org, DECEMBER, actor="test", now=now)
        await session.execute(update(InvoiceSync).values(**sent))

    async with chromium.visit(f"{acme.path}/invoices/ACME-0001") as visit:
        page = visit.page
        await page.clock.install()
        await page.reload()
        pay = page.get_by_role("link", name="Pay this invoice")
        await pay.focus()
        async with page.expect_response("**/state"):
            await page.clock.fast_forward(6000)
        await expect(page.locator(".chip")).to_have_text("Sent")
        await expect(pay).to_be_focused()

        paid = {"status": InvoiceStatus.PAID, "paid_at": now}
        async with runtime.sessions.begin() as session:
            await session.execute(update(Invoice).values(**paid))
        async with page.expect_response("**/state"):
            await page.clock.fast_forward(6000)

        await expect(page.locator(".chip")).to_have_text("Paid")
        await expect(page.locator("#state")).to_contain_text("Nothing is left to pay.")
        await expect(pay).to_have_count(0)
        asked = sum(url.endswith("/state") for url in visit.requests)
        await page.clock.run_for(20_000)
        assert sum(url.endswith("/state") for url in visit.requests) == asked
        assert visit.complaints == []
