"""A real Chromium at the real site, with whatever it complains about kept."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from playwright.async_api import Browser, Page, async_playwright

from billing.accounts import get_user_by_email
from billing.runtime import Runtime, Sessions
from billing.sign_in import sign_in_as
from sandbox.chromium import FLAGS
from sandbox.stripe.server import serving
from tests.web.site import Acme, an_acme
from web.app import create_app
from web.cookies import SESSION


@dataclass(slots=True)
class Visit:
    """One tab, what it asked for, and every error it told of."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Chromium:
    """The browser, the site's address, and Acme's owner to visit it as."""

    browser: Browser
    url: str
    token: str

    @asynccontextmanager
    async def visit(self, path: str, **options: Any) -> AsyncIterator[Visit]:
        """A fresh profile, signed in, at `path`."""
        context = await self.browser.new_context(base_url=self.url, **options)
        await context.add_cookies([{"name": SESSION, "value": self.token, "url": self.url}])
        visit = Visit(await context.new_page())
        visit.page.on("console", lambda said: note(visit, said.type, said.text))
        visit.page.on("pageerror", lambda error: visit.complaints.append(str(error)))
        visit.page.on("request", lambda request: visit.requests.append(request.url))
        await visit.page.goto(path)
        yield visit
        await context.close()


def note(visit: Visit, kind: str, text: str) -> None:
    """A violation of the Content-Security-Policy is a console error too."""
    if kind in {"error", "warning"}:
        visit.complaints.append(text)


@pytest.fixture
async def acme(sessions: Sessions) -> Acme:
    return await an_acme(sessions)


@pytest.fixture
async def token(runtime: Runtime, acme: Acme) -> str:
    """The session of Acme's owner."""
    async with runtime.sessions.begin() as session:
        user = await get_user_by_email(session, acme.email)
        return await sign_in_as(session, user.id, await runtime.now())


@pytest.fixture
async def browser(chromium_path: str) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        yield await playwright.chromium.launch(executable_path=chromium_path, args=list(FLAGS))


@pytest.fixture
async def chromium(runtime: Runtime, browser: Browser, token: str) -> AsyncIterator[Chromium]:
    async with serving(create_app(runtime)) as url:
        yield Chromium(browser, url, token)


@pytest.fixture
async def open_until_the_end() -> AsyncIterator[AsyncExitStack]:
    """Keeps a tab open while servers come and go."""
    async with AsyncExitStack() as stack:
        yield stack
