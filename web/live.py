"""The fan-out behind live pages: one computation for an organization, however many watch it.

Redis tells that an organization's figures moved; a feed computes them again, at most once per
`Pace.push`, and every stream takes the newest when it is ready for it, so a slow reader costs no
memory. Without Redis, feeds look by themselves: freshness suffers, truth does not.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from redis.asyncio.client import PubSub
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from billing.ids import OrgId
from billing.runtime import LIVE_CHANNEL, Runtime

log = logging.getLogger(__name__)

_COMPUTING_MAX = 4
"""Feeds that compute at once: fewer than the database connections of the process."""

_CANCEL_AGAIN_SECONDS = 0.2

T = TypeVar("T")
Compute = Callable[[OrgId, T | None], Awaitable[T]]
"""An organization's figures of now; what they were before may spare some of the work."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How often, in seconds.

    `push`: the least between two computations for one organization, so a burst becomes one.
    `look`: how long a feed waits for news before it looks by itself. `listen`: how long Redis may
    be silent before it is asked whether it is there. `reconnect`: between two tries to reach it.
    """

    push: float = 2
    look: float = 10
    listen: float = 5
    reconnect: float = 2


_PACE = Pace()


class Feed(Generic[T]):
    """One watched organization: computes when told or when it has waited, and keeps the newest."""

    def __init__(
        self, compute: Callable[[T | None], Awaitable[T]], gate: asyncio.Semaphore, pace: Pace
    ) -> None:
        self._compute = compute
        self._gate = gate
        self._pace = pace
        self._moved = asyncio.Event()
        self._changed = asyncio.Condition()
        self.newest: T | None = None
        self.watchers = 0

    def nudge(self) -> None:
        """The figures moved."""
        self._moved.set()

    async def newer_than(self, seen: T | None) -> T:
        """The newest, as soon as it is another than `seen`."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.newest is not seen)
        assert self.newest is not None, "only something takes the place of nothing"
        return self.newest

    async def run(self) -> None:
        """Compute while watched. A failure keeps the last figures; pages say how old they are."""
        while self.watchers:
            self._moved.clear()
            try:
                async with self._gate:
                    newest = await self._compute(self.newest)
            except Exception:
                log.exception("live figures not computed; trying again")
            else:
                await self._publish(newest)
            await asyncio.sleep(self._pace.push)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pace.look - self._pace.push):
                    await self._moved.wait()

    async def _publish(self, newest: T) -> None:
        async with self._changed:
            self.newest = newest
            self._changed.notify_all()


class Live(Generic[T]):
    """All feeds of this process, and the ear at Redis. Use inside `running()`."""

    def __init__(self, runtime: Runtime, compute: Compute[T], pace: Pace = _PACE) -> None:
        self._redis = runtime.nudges.redis
        self._compute = compute
        self._pace = pace
        self.is_hearing = False
        self._gate = asyncio.Semaphore(_COMPUTING_MAX)
        self._feeds: dict[OrgId, tuple[Feed[T], asyncio.Task[None]]] = {}

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Live[T]"]:
        """Listen for as long as the block lasts; feeds end with it."""
        ear = asyncio.create_task(self._listen())
        try:
            yield self
        finally:
            await _end({ear, *(task for _, task in self._feeds.values())})

    @property
    def watched(self) -> set[OrgId]:
        """The organizations that somebody watches."""
        return set(self._feeds)

    async def figures(self, org_id: OrgId) -> AsyncGenerator[T]:
        """The figures computed from now on, each when it is new, while somebody iterates.

        Not the newest there are: a page may have been drawn after those, and would go back.
        """
        feed = self._join(org_id)
        try:
            seen = feed.newest
            feed.nudge()
            while True:
                seen = await feed.newer_than(seen)
                yield seen
        finally:
            self._leave(org_id)

    def _join(self, org_id: OrgId) -> Feed[T]:
        if org_id not in self._feeds:
            feed = Feed(partial(self._compute, org_id), self._gate, self._pace)
            self._feeds[org_id] = feed, asyncio.create_task(feed.run())
        feed, _ = self._feeds[org_id]
        feed.watchers += 1
        return feed

    def _leave(self, org_id: OrgId) -> None:
        feed, task = self._feeds[org_id]
        feed.watchers -= 1
        if not feed.watchers:
            task.cancel()
            del self._feeds[org_id]

    async def _listen(self) -> None:
        """Hear which organizations moved, for ever; what was missed while away, feeds look up."""
        is_news = True
        while True:
            try:
                async with self._redis.pubsub() as channel:
                    await channel.subscribe(LIVE_CHANNEL)
                    await self._hear(channel)
            except (RedisError, OSError) as error:
                if is_news or self.is_hearing:
                    log.warning("live nudges not heard, feeds look by themselves: %s", error)
                self.is_hearing = is_news = False
            await asyncio.sleep(self._pace.reconnect)

    async def _hear(self, channel: PubSub) -> None:
        was_asked = False
        while True:
            message = await channel.get_message(timeout=self._pace.listen)
            if message is not None:
                was_asked = False
                self._told(message)
            elif was_asked:  # not even its PONG came: the connection died without a word
                raise RedisConnectionError("Redis is silent.")
            else:
                await channel.ping()
                was_asked = True

    def _told(self, message: dict[str, Any]) -> None:
        if message["type"] == "subscribe":  # until here, anything may have been missed
            self.is_hearing = True
            for feed, _ in self._feeds.values():
                feed.nudge()
        elif message["type"] == "message":
            told = frozenset(message["data"].decode(errors="replace").split())
            for org_id, (feed, _) in self._feeds.items():
                if str(org_id) in told:
                    feed.nudge()


async def _end(tasks: set[asyncio.Task[None]]) -> None:
    """Cancel until they end.

    Once is not enough: until Python 3.12 `asyncio.wait_for`, which redis-py waits by, swallows a
    cancellation that comes together with what it waited for.
    """
    while tasks:
        for task in tasks:
            task.cancel()
        _, tasks = await asyncio.wait(tasks, timeout=_CANCEL_AGAIN_SECONDS)
