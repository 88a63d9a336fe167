"""The demo's buttons do what they say, for our own forms only, and in the sandbox only."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest

from billing.accounts import get_organization
from billing.ids import StripeCustomerId
from billing.price_book import apply_price_book, read_price_book
from billing.runtime import Runtime
from billing.subscribing import start_subscription
from sandbox.controls import routes
from sandbox.seed.history import PRICE_BOOK
from sandbox.stripe.app import FakeStripe
from sandbox.stripe.server import serving
from sandbox.stripe.world import World
from tests.factories import an_organization
from tests.web.site import form_token, text_of
from web.app import create_app


@pytest.fixture
async def stripe() -> AsyncIterator[tuple[World, str]]:
    world = World()
    async with serving(FakeStripe(world)) as url:
        yield world, url


@pytest.fixture
async def demo(sandbox: Runtime, stripe: tuple[World, str]) -> AsyncIterator[httpx.AsyncClient]:
    """A browser at the demo of an Acme on the plan Pro."""
    now = await sandbox.now()
    async with sandbox.sessions.begin() as session:
        book = read_price_book(PRICE_BOOK.read_bytes())
        await apply_price_book(session, book, actor="test", now=now)
        org = await an_organization(session, key="acme", opened_at=now)
        await start_subscription(session, org, "pro", now, actor="test", now=now)
    settings = replace(sandbox.settings, stripe_api_base=stripe[1])
    app = create_app(replace(sandbox, settings=settings), routes)
    async with serving(app) as url, httpx.AsyncClient(base_url=url, timeout=20) as browser:
        yield browser


async def press(demo: httpx.AsyncClient, slug: str, choice: str = "") -> str:
    """Press a button; what the page then says."""
    token = form_token((await demo.get("/_demo")).text)
    form = {"csrf_token": token, "choice": choice}
    answer = await demo.post(f"/_demo/{slug}", data=form, follow_redirects=True)
    assert answer.status_code == 200, answer.text
    return text_of(answer.text)


async def test_duplicate_usage_counts_once(demo: httpx.AsyncClient) -> None:
    assert "10 ACCEPTED, 20 DUPLICATE, 1 CONFLICT." in await press(demo, "duplicate-usage")


async def test_a_spike_raises_the_estimate(demo: httpx.AsyncClient) -> None:
    said = await press(demo, "spike")
    assert "300 ACCEPTED. Acme's estimate went from" in said.replace("&#39;", "'")


async def test_late_usage_is_accepted(demo: httpx.AsyncClient) -> None:
    assert "1 ACCEPTED" in await press(demo, "late-usage")


@pytest.mark.parametrize("how", ["down", "rate_limit", "timeout_after_commit"])
async def test_stripe_breaks_in_one_way_and_is_mended(
    demo: httpx.AsyncClient, stripe: tuple[World, str], how: str
) -> None:
    world, _ = stripe
    await press(demo, "break-stripe", how)
    assert [*world.chaos.switches] == [how]
    assert "The fake Stripe works again." in await press(demo, "fix-stripe")
    assert not world.chaos.switches


async def test_cards_are_declined_for_one_or_for_everybody(
    demo: httpx.AsyncClient, stripe: tuple[World, str], sandbox: Runtime
) -> None:
    world, _ = stripe
    assert "not been sent an invoice yet" in await press(demo, "decline-card", "acme")
    async with sandbox.sessions.begin() as session:
        acme = await get_organization(session, "acme")
        acme.stripe_customer_id = StripeCustomerId("cus_1")
    await press(demo, "decline-card", "acme")
    assert world.knobs.cards == {"cus_1": "decline"}
    await press(demo, "decline-card", "everybody")
    assert world.knobs.default_card == "decline"
    await press(demo, "accept-card", "everybody")
    assert world.knobs.default_card == "pay"


async def test_month_end_is_a_day_and_a_minute_past_it(
    demo: httpx.AsyncClient, sandbox: Runtime
) -> None:
    before = await sandbox.now()
    await press(demo, "month-end")
    now = await sandbox.now()
    assert (now.day, now.hour) == (2, 0)
    assert now - before < timedelta(days=33)


async def test_redis_is_emptied(demo: httpx.AsyncClient, sandbox: Runtime) -> None:
    await sandbox.nudges.redis.set("left-over", "1")
    await press(demo, "flush-redis")
    assert not await sandbox.nudges.redis.exists("left-over")


async def test_a_form_from_elsewhere_is_refused(demo: httpx.AsyncClient) -> None:
    answer = await demo.post("/_demo/spike", data={"csrf_token": "forged"})
    assert answer.status_code == 403
    assert (await demo.get("/_demo/state")).status_code == 200


@pytest.mark.parametrize(("slug", "choice"), [("nothing", ""), ("break-stripe", "softly")])
async def test_there_is_no_other_button(demo: httpx.AsyncClient, slug: str, choice: str) -> None:
    token = form_token((await demo.get("/_demo")).text)
    form = {"csrf_token": token, "choice": choice}
    assert (await demo.post(f"/_demo/{slug}", data=form)).status_code == 404


async def test_the_product_has_no_such_page(runtime: Runtime) -> None:
    async with serving(create_app(runtime)) as url, httpx.AsyncClient(base_url=url) as browser:
        assert (await browser.get("/_demo")).status_code == 404
