"""Time that passes only when nobody has anything left to do but to wait for it.

Sleeping is given to what waits; databases are real, and their answers take no time on this clock.
"""

import asyncio
import heapq
from collections.abc import Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any, TypeVar

from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import QueuePool

from tests.world import Clock

T = TypeVar("T")

_QUIET_TURNS = 4
"""Turns of the event loop in which nothing was ready: somebody may only just have been woken."""

_LOOK_AGAIN_SECONDS = 0.0005


@dataclass(slots=True)
class VirtualTime:
    """`engines` and `redis` are looked at to know whether an answer is still awaited."""

    clock: Clock
    engines: tuple[AsyncEngine, ...]
    redis: tuple[Redis, ...]
    _sleepers: list[tuple[float, int, asyncio.Future[None]]] = field(default_factory=list)
    _order: Any = field(default_factory=count)

    async def sleep(self, seconds: float) -> None:
        """Until the clock has moved on by so many seconds."""
        waiter = asyncio.get_running_loop().create_future()
        at = self.clock.at.timestamp() + seconds
        heapq.heappush(self._sleepers, (at, next(self._order), waiter))
        await waiter

    async def run(self, act: Coroutine[Any, Any, T]) -> T:
        """Do it, moving the clock on whenever all is still."""
        task = asyncio.create_task(act)
        while not task.done():
            await self._stillness(task)
            if not task.done():
                self._wake_the_next()
        return await task

    def _wake_the_next(self) -> None:
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)
        assert self._sleepers, "nobody is waiting for time, and nothing else happens"
        at = self._sleepers[0][0]
        self.clock.at = max(self.clock.at, datetime.fromtimestamp(at, UTC))
        while self._sleepers and self._sleepers[0][0] <= at:
            waiter = heapq.heappop(self._sleepers)[2]
            if not waiter.done():
                waiter.set_result(None)

    async def _stillness(self, task: asyncio.Task[Any]) -> None:
        ready = asyncio.get_running_loop()._ready  # type: ignore[attr-defined]
        quiet = 0
        while quiet < _QUIET_TURNS and not task.done():
            await asyncio.sleep(_LOOK_AGAIN_SECONDS if self._is_awaiting() else 0)
            quiet = 0 if ready or self._is_awaiting() else quiet + 1

    def _is_awaiting(self) -> bool:
        return any(_checked_out(engine) for engine in self.engines) or any(
            redis.connection_pool._in_use_connections for redis in self.redis
        )


def _checked_out(engine: AsyncEngine) -> int:
    pool = engine.pool
    assert isinstance(pool, QueuePool)
    return pool.checkedout()
