"""The real application over HTTP, in this process, and the keys to ask it with."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from billing.models import Organization
from billing.runtime import Runtime, Sessions
from tests.api.graphql import Graph, a_key
from tests.factories import an_organization
from web.app import create_app


@asynccontextmanager
async def application(runtime: Runtime) -> AsyncIterator[httpx.AsyncClient]:
    """Asks the application as another app would; started and stopped with its lifespan."""
    app = create_app(runtime)
    async with app.router.lifespan_context(app) as state:

        async def served(scope: Scope, receive: Receive, send: Send) -> None:
            await app({**scope, "state": dict(state or {})}, receive, send)

        transport = httpx.ASGITransport(served)
        base_url = runtime.settings.base_url
        async with httpx.AsyncClient(transport=transport, base_url=base_url) as client:
            yield client


@pytest.fixture
async def http(runtime: Runtime) -> AsyncIterator[httpx.AsyncClient]:
    """The application on the test's own world."""
    async with application(runtime) as client:
        yield client


@pytest.fixture
async def org(sessions: Sessions) -> Organization:
    """An organization with nothing on its bill."""
    async with sessions.begin() as session:
        return await an_organization(session, key="acme")


@pytest.fixture
async def staff(http: httpx.AsyncClient, sessions: Sessions) -> Graph:
    """GraphQL, asked with the platform's own key."""
    return Graph(http, await a_key(sessions, "admin"))
