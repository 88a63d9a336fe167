"""Where a worker can die: before and after each call to Stripe, and after each commit.

It dies as processes do, at an await: its task is cancelled there, and nothing of it goes on.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from sqlalchemy.ext.asyncio import AsyncSession

from billing.runtime import Sessions
from sandbox.stripe.app import FakeStripe


@dataclass(slots=True)
class Doors:
    """Counts the doors that a worker passes; at the one named, the worker dies."""

    fatal: int | None = None
    passed: int = 0
    victim: asyncio.Task[Any] | None = None

    async def go_through(self) -> None:
        """Returns, or never does."""
        self.passed += 1
        if self.fatal is None or self.passed < self.fatal:
            return
        if self.victim is not None:
            self.victim.cancel()
        await asyncio.Event().wait()


class DoorSessions:
    """Our sessions, with a door after each commit. Only what workers use of them."""

    def __init__(self, inner: Sessions, doors: Doors) -> None:
        self._inner = inner
        self._doors = doors

    def __call__(self) -> AsyncSession:
        return self._inner()

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncSession]:
        """A transaction, and when it is committed a door."""
        async with self._inner.begin() as session:
            yield session
        await self._doors.go_through()


class DoorWire(httpx.ASGITransport):
    """Into the fake without a socket, with a door on each side of every call."""

    def __init__(self, fake: FakeStripe, doors: Doors) -> None:
        super().__init__(app=fake)
        self._doors = doors

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The call is made between the doors: dying at the second loses an answer."""
        await self._doors.go_through()
        answer = await super().handle_async_request(request)
        await answer.aread()
        await self._doors.go_through()
        return answer
