"""What every resolver is given: who asks, when, and the way to the database."""

from asyncio import Semaphore
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

import strawberry
from sqlalchemy.ext.asyncio import AsyncSession

from api.loaders import Loaders
from billing.accounts import Viewer
from billing.ids import OrgId
from billing.runtime import Runtime

SESSIONS_MAX = 4
"""How many connections one request may hold at once, however wide its query is."""


class Context:
    """One request's. It holds the runtime and never a session: resolvers run side by side."""

    def __init__(self, runtime: Runtime, viewer: Viewer, now: datetime) -> None:
        self.runtime = runtime
        self.viewer = viewer
        self.now = now
        self.loaders = Loaders(self.reading, now)
        self._places = Semaphore(SESSIONS_MAX)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncSession]:
        """A session for one resolver's reads. Never open one inside another."""
        async with self._places, self.runtime.sessions() as session:
            yield session

    async def invoiced(self, org_id: OrgId) -> None:
        """What was issued need not wait for the next sweep to be sent, nor pages to be told."""
        await self.runtime.nudges.enqueue("push_invoices")
        await self.runtime.nudges.moved([org_id])


Info = strawberry.Info[Context, None]
