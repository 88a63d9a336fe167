from datetime import UTC, datetime, timedelta

import httpx
import pytest
from sqlalchemy import update

from billing.closing import close_period_now
from billing.invoices import SYNC_DELAY_SHOWN
from billing.models import InvoiceSync, SyncState
from billing.runtime import Runtime, Sessions
from tests.web.site import OLGA, Acme, a_person, an_acme, sign_in, text_of
from tests.world import Clock

DECEMBER = datetime(2026, 12, 1, tzinfo=UTC)


@pytest.fixture
async def olga(
    browser: httpx.AsyncClient, runtime: Runtime, sessions: Sessions
) -> httpx.AsyncClient:
    """Somebody of the staff, signed in."""
    async with sessions.begin() as session:
        await a_person(session, OLGA, is_ops=True)
    await sign_in(browser, runtime, OLGA)
    return browser


async def test_staff_see_what_waits_and_why(
    olga: httpx.AsyncClient, sessions: Sessions, clock: Clock, acme: Acme
) -> None:
    now = clock.advance(DECEMBER - clock.at + timedelta(days=1))
    held = {"state": SyncState.HELD, "error_code": "STRIPE_MISMATCH", "attempts": 3}
    words = {"error_message": "Stripe holds <34.95>, we sent 34.94."}
    async with sessions.begin() as session:
        await close_period_now(session, acme.org, DECEMBER, actor="test", now=now)
        await session.execute(update(InvoiceSync).values(**held, **words))

    page = await olga.get("/ops")

    text = text_of(page.text)
    assert "Waiting 0 Held 1 Failed 0 Oldest waiting since –" in text
    assert "ACME-0001 Acme HELD 3 needs a person STRIPE_MISMATCH" in text
    assert "Stripe holds &lt;34.95&gt;, we sent 34.94." in text


async def test_the_page_polls_and_is_told_when_nothing_changed(
    olga: httpx.AsyncClient, sessions: Sessions, clock: Clock, acme: Acme
) -> None:
    first = await olga.get("/ops/sync")
    tag = {"HX-PTag": first.headers["HX-PTag"]}
    assert f'hx-ptag="{tag["HX-PTag"]}"' in (await olga.get("/ops")).text
    assert (await olga.get("/ops/sync", headers=tag)).status_code == 304

    now = clock.advance(DECEMBER - clock.at + timedelta(days=1))
    async with sessions.begin() as session:
        await close_period_now(session, acme.org, DECEMBER, actor="test", now=now)
    changed = await olga.get("/ops/sync", headers=tag)
    assert changed.status_code == 200
    assert "Waiting 1" in text_of(changed.text)


async def test_organizations_are_listed_page_by_page(
    olga: httpx.AsyncClient, sessions: Sessions, acme: Acme
) -> None:
    await an_acme(sessions, "zebra")

    assert text_of((await olga.get("/ops")).text).endswith(
        "Organizations Acme acme · USD Zebra zebra · USD All times are UTC."
    )
    after = (await olga.get(f"/ops?after={acme.org.slug}")).text
    assert 'href="/orgs/zebra/billing"' in after
    assert 'href="/orgs/acme/billing"' not in after
    for path in ("/ops", "/"):
        assert (await olga.get(f"{path}?after=%00")).status_code == 422


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"state": SyncState.PUSHED}, "Invoices leave on time."),
        (
            {"state": SyncState.HELD, "error_code": "STRIPE_MISMATCH"},
            "Some invoices need a person.",
        ),
        ({"state": SyncState.FAILED, "error_code": "REFUSED"}, "Some invoices need a person."),
        ({"state": SyncState.PENDING}, "Delayed. Customers see the notice."),
    ],
)
async def test_the_verdict_is_of_the_figures(
    olga: httpx.AsyncClient,
    sessions: Sessions,
    clock: Clock,
    acme: Acme,
    columns: dict[str, object],
    words: str,
) -> None:
    now = clock.advance(DECEMBER - clock.at + timedelta(days=1))
    async with sessions.begin() as session:
        await close_period_now(session, acme.org, DECEMBER, actor="test", now=now)
        await session.execute(update(InvoiceSync).values(**columns))
    clock.advance(SYNC_DELAY_SHOWN)

    text = text_of((await olga.get("/ops")).text)

    assert words in text
    assert ("on time." in text) == (columns["state"] is not SyncState.PENDING)
    assert ("ACME-0001 Acme" in text) == (columns["state"] is not SyncState.PUSHED)
    assert ("not sent yet" in text) == (columns["state"] is SyncState.PENDING)
