"""The pages of Stripe's side on a small and a large screen, in both themes."""

from pathlib import Path

import pytest
from sqlalchemy import update

from billing.models import User
from billing.runtime import Runtime
from sandbox.stripe.app import FakeStripe
from tests.billing.conftest import connected, fake
from tests.billing.pushing import held
from tests.billing.reconciling.conftest import run_of, settled_invoice
from tests.billing.test_stripe_events import hear, told
from tests.e2e.conftest import Chromium
from tests.web.site import Acme
from tests.web.test_ops_stripe import failed_payment, sign_books
from tests.world import Clock

__all__ = ["connected", "fake"]


@pytest.mark.parametrize(("theme", "width"), [("dark", 360), ("light", 1280)])
async def test_they_fit_and_nothing_complains(
    connected: Runtime,
    fake: FakeStripe,
    clock: Clock,
    chromium: Chromium,
    acme: Acme,
    tmp_path: Path,
    theme: str,
    width: int,
) -> None:
    await settled_invoice(connected, fake, clock)
    held(fake)[0].lines[0].amount += 1
    await sign_books(connected)
    await run_of(connected)
    await hear(connected, told("invoice.payment_action_required", "in_1TzAndAsLongAsStripesIdsAre"))
    path = await failed_payment(connected, acme)
    async with connected.sessions.begin() as session:
        await session.execute(update(User).values(is_ops=True))

    options = {"color_scheme": theme, "viewport": {"width": width, "height": 800}}
    pages = ("/ops", "/ops/reconciliation", "/ops/books/2026-11", "/ops/webhooks", path)
    async with chromium.visit("/ops", **options) as visit:
        for number, address in enumerate(pages):
            answer = await visit.page.goto(address)
            assert answer is not None
            assert answer.status == 200, address
            assert await visit.page.evaluate("document.documentElement.scrollWidth") <= width
            await visit.page.screenshot(path=tmp_path / f"{number}.png", full_page=True)
        assert visit.complaints == []
