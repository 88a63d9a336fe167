"""What every call to Stripe passes: a token of the account's bucket and of its operation's, and a
place among those under way. What Stripe answers makes it slower or faster."""

import asyncio
import logging
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from redis.exceptions import RedisError

from billing.clock import Now
from billing.errors import Unavailable
from billing.stripe_limits.alone import OwnBuckets
from billing.stripe_limits.concurrency import Concurrency
from billing.stripe_limits.lanes import Lane, current_lane
from billing.stripe_limits.rates import Rate, StripeLimits

log = logging.getLogger(__name__)

WAIT_MAX_SECONDS = 5.0
"""Who would wait longer is told to come back: a worker is not held, nor a person's page."""

REDIS_AWAY_SECONDS = 5.0
"""How long a Redis that did not answer is not asked again: asking costs a second each time."""

TOO_MANY = 429
_ALL = "global"
_REASON, _RETRY_AFTER = "stripe-rate-limited-reason", "retry-after"

Sleep = Callable[[float], Awaitable[None]]
Luck = Callable[[], float]


class Paced(Unavailable):
    """We did not even ask: it is not our turn for so long that waiting here is no use."""

    code = "STRIPE_PACED"


class Buckets(Protocol):
    """Where tokens are kept: in Redis for all, or here."""

    async def take(self, wanted: Sequence[tuple[str, Rate]], lane: Lane, now: float) -> float:
        """One token of each, or of none and the seconds to wait."""

    async def pause(self, name: str, now: float, luck: float, least: float) -> None:
        """Let nobody take from one of them for a while."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What of an answer says that Stripe wants less of us."""

    status: int
    headers: Mapping[str, str]
    is_lock_timeout: bool = False

    @property
    def reason(self) -> str:
        """Which limit it was, if Stripe says."""
        return self.headers.get(_REASON) or ""

    @property
    def is_crowded(self) -> bool:
        """Too many at once, rather than too fast."""
        return self.is_lock_timeout or self.reason.endswith("-concurrency")

    @property
    def least_pause(self) -> float:
        """Seconds that Stripe asks for; it documents no such header, and may send one."""
        asked = self.headers.get(_RETRY_AFTER) or ""
        return float(asked) if asked.isascii() and asked.isdigit() else 0.0


class Limits(Protocol):
    """What the gateway asks before and tells after each request."""

    def turn(self, operation: str) -> AbstractAsyncContextManager[None]:
        """Wait for one's turn, and have a place meanwhile. Raises `Paced`."""

    async def answered(self, operation: str, answer: Answered) -> None:
        """Hear what became of it."""


class Unlimited:
    """For tests of other things: every call is let through at once."""

    @asynccontextmanager
    async def turn(self, _operation: str) -> AsyncIterator[None]:
        """No waiting."""
        yield

    async def answered(self, _operation: str, _answer: Answered) -> None:
        """Nothing is learned."""


@dataclass(slots=True)
class Limiter:
    """Of one process; `shared` makes all of them keep to one rate.

    `sleep` and `luck` are given so that tests need neither time nor chance.
    """

    limits: StripeLimits
    shared: Buckets
    now: Now
    sleep: Sleep = asyncio.sleep
    luck: Luck = random.random
    concurrency: Concurrency = field(default_factory=Concurrency)
    own: OwnBuckets = field(default_factory=OwnBuckets)
    _away_until: float | None = None
    _queues: dict[tuple[str, Lane], asyncio.Lock] = field(
        default_factory=lambda: defaultdict(asyncio.Lock)
    )

    @asynccontextmanager
    async def turn(self, operation: str) -> AsyncIterator[None]:
        """A token first, then a place. Raises `Paced` rather than wait for more than seconds."""
        await self._token(operation, current_lane())
        async with self.concurrency.place():
            yield

    async def answered(self, operation: str, answer: Answered) -> None:
        """A 429 pauses its operation, or everything if Stripe says that it is about everything."""
        now = await self._seconds()
        if answer.status != TOO_MANY:
            self.concurrency.went_well(now)
            return
        if answer.is_crowded:
            self.concurrency.was_crowded(now)
        name = _ALL if answer.reason.startswith("global-") else operation
        log.warning("Stripe limits %s: %s", name, answer.reason or "no reason given")
        await self._pause(name, now, answer.least_pause)

    async def _token(self, operation: str, lane: Lane) -> None:
        """One of each process and lane asks at a time: the others are behind it, in order."""
        wanted = ((_ALL, self.limits.of_all), (operation, self.limits.of_endpoint))
        began = await self._seconds()
        async with self._queues[operation, lane]:
            while wait := await self._take(wanted, lane, now := await self._seconds()):
                if now + wait - began > WAIT_MAX_SECONDS:
                    raise Paced(
                        f"{operation} waits {wait:.0f} s for its turn at Stripe.",
                        retry_after=timedelta(seconds=wait),
                        is_rate_limit=True,
                    )
                await self.sleep(wait)

    async def _take(self, wanted: Sequence[tuple[str, Rate]], lane: Lane, now: float) -> float:
        if self._is_redis_there(now):
            try:
                return await self.shared.take(wanted, lane, now)
            except (RedisError, OSError) as error:
                self._is_away(now, error)
        return await self.own.take(wanted, lane, now)

    async def _pause(self, name: str, now: float, least: float) -> None:
        luck = self.luck()
        await self.own.pause(name, now, luck, least)
        if self._is_redis_there(now):
            try:
                await self.shared.pause(name, now, luck, least)
            except (RedisError, OSError) as error:
                self._is_away(now, error)

    def _is_redis_there(self, now: float) -> bool:
        until = self._away_until
        return until is None or not 0 <= until - now <= REDIS_AWAY_SECONDS

    def _is_away(self, now: float, error: Exception) -> None:
        log.warning("Redis is away (%s): Stripe is asked at a fraction of the rate", error)
        self._away_until = now + REDIS_AWAY_SECONDS

    async def _seconds(self) -> float:
        return (await self.now()).timestamp()
