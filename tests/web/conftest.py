"""A browser at the real site."""

from collections.abc import AsyncIterator

import httpx
import pytest

from billing.runtime import Runtime, Sessions
from tests.web.site import Acme, an_acme, sign_in, visiting


@pytest.fixture
async def acme(sessions: Sessions) -> Acme:
    return await an_acme(sessions)


@pytest.fixture
async def browser(runtime: Runtime) -> AsyncIterator[httpx.AsyncClient]:
    """Nobody is signed in."""
    async with visiting(runtime) as browser:
        yield browser


@pytest.fixture
async def dana(browser: httpx.AsyncClient, runtime: Runtime, acme: Acme) -> httpx.AsyncClient:
    """Acme's owner, signed in."""
    await sign_in(browser, runtime, acme.email)
    return browser
