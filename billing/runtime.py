"""What a process needs to work: opened at the edge, handed down, built by hand in tests."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice
from typing import Any, TypeVar

from arq.connections import ArqRedis, RedisSettings
from redis.exceptions import RedisError
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from billing.clock import Now, shifted_clock, wall_clock
from billing.database import open_engine
from billing.ids import OrgId
from billing.models import ClockOffset
from billing.settings import Settings
from billing.stripe_gateway import open_stripe
from billing.stripe_limits import Limiter
from billing.stripe_limits.shared import SharedBuckets
from billing.stripe_protocol import Stripe

log = logging.getLogger(__name__)

LIVE_CHANNEL = "live"
"""Redis channel that carries the ids of organizations whose figures have moved, some a message: a
message costs everybody who hears it more than the ids in it."""

_REDIS_TIMEOUT_SECONDS = 1.0
_REDIS_AWAY_SECONDS = 5.0

_TELL_SECONDS = 0.2
_TOLD_AT_ONCE_MAX = 200
_MOVED_MAX = 10_000
"""Pages look by themselves when they are told nothing, so it is better to tell less than to tell
a thousand times a second."""

Sessions = async_sessionmaker[AsyncSession]

T = TypeVar("T")


@dataclass(slots=True)
class Nudges:
    """Redis as a nudge: it makes work start sooner, and losing any of it loses nothing.

    So a Redis that is down is logged and otherwise ignored: every kind of work is swept for.
    """

    redis: ArqRedis
    _moved: dict[OrgId, None] = field(default_factory=dict)
    _teller: asyncio.Task[None] | None = None
    _is_telling: bool = False

    async def enqueue(self, job: str, *args: Any) -> None:  # noqa: ANN401 - a job's own arguments
        """Ask a worker to do `job` soon; asking twice while it waits is once."""
        job_id = ":".join([job, *map(str, args)])
        try:
            await self.redis.enqueue_job(job, *args, _job_id=job_id)
        except (RedisError, OSError) as error:
            log.warning("nudge %s not sent: %s", job_id, error)

    async def moved(self, org_ids: Iterable[OrgId]) -> None:
        """Tell every web process that these organizations' figures have moved.

        At once; but what moves within a moment of that is told after it, once and all together.
        """
        if len(self._moved) < _MOVED_MAX:
            self._moved.update(dict.fromkeys(org_ids))
        if self._moved and not self._is_telling:
            self._is_telling = True
            pause = _TELL_SECONDS
            try:
                pause = await self._tell()
            finally:
                self._teller = asyncio.create_task(self._tell_the_rest(pause))

    async def aclose(self) -> None:
        """Close Redis; what was not told yet is not told."""
        if self._teller is not None:
            self._teller.cancel()
            await asyncio.wait([self._teller])
        await self.redis.aclose()

    async def _tell_the_rest(self, pause: float) -> None:
        try:
            while True:
                await asyncio.sleep(pause)
                if not self._moved:
                    break
                pause = await self._tell()
        finally:
            self._is_telling = False

    async def _tell(self) -> float:
        """Publish what has moved, the oldest first; answers how long to be silent after it."""
        org_ids = list(islice(self._moved, _TOLD_AT_ONCE_MAX))
        for org_id in org_ids:
            del self._moved[org_id]
        try:
            await self.redis.publish(LIVE_CHANNEL, " ".join(map(str, org_ids)))
        except (RedisError, OSError) as error:
            log.warning("live nudge not sent: %s", error)
            return _REDIS_AWAY_SECONDS
        return _TELL_SECONDS


@dataclass(frozen=True, slots=True)
class Runtime:
    """One process's open doors: our database, Stripe, Redis and the clock."""

    settings: Settings
    engine: AsyncEngine
    sessions: Sessions
    stripe: Stripe
    nudges: Nudges
    now: Now
    autocommit: AsyncEngine = field(init=False)
    """The engine, for what is a transaction in one statement: it costs something to say so."""
    _memory: dict[object, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """The options are those of every connection that is asked of it."""
        engine = self.engine.execution_options(isolation_level="AUTOCOMMIT")
        object.__setattr__(self, "autocommit", engine)

    def remembered(self, kind: Callable[[], T]) -> T:
        """The one object of a kind that this process keeps between requests, made when first asked.

        Only ever a memory of what the database knows, or work under way: nothing here is truth.
        """
        if kind not in self._memory:
            self._memory[kind] = kind()
        remembered: T = self._memory[kind]
        return remembered


@asynccontextmanager
async def open_runtime(settings: Settings) -> AsyncIterator[Runtime]:
    """Open everything, and close it again. Redis and Stripe need not be there yet."""
    engine = open_engine(settings)
    sessions = async_sessionmaker(engine, expire_on_commit=False)
    nudges = Nudges(open_redis(settings))
    now = clock_for(settings, sessions)
    try:
        async with open_stripe(settings, limiter_for(settings, nudges.redis, now)) as stripe:
            yield Runtime(settings, engine, sessions, stripe, nudges, now)
    finally:
        await nudges.aclose()
        await engine.dispose()


def redis_settings(settings: Settings) -> RedisSettings:
    """Redis for arq's worker, which connects by itself."""
    return RedisSettings.from_dsn(settings.redis_url)


def open_redis(settings: Settings) -> ArqRedis:
    """A lazy pool: it connects at first use, so a web process starts while Redis is down."""
    redis: ArqRedis = ArqRedis.from_url(
        settings.redis_url,
        socket_timeout=_REDIS_TIMEOUT_SECONDS,
        socket_connect_timeout=_REDIS_TIMEOUT_SECONDS,
    )
    return redis


def limiter_for(settings: Settings, redis: ArqRedis, now: Now) -> Limiter:
    """One rate for all processes that have this Redis; test and live mode are limited apart."""
    mode = "live" if settings.stripe_is_live else "test"
    return Limiter(settings.stripe_limits, SharedBuckets(redis, mode), now)


def clock_for(settings: Settings, sessions: Sessions) -> Now:
    """The wall clock; in the sandbox, shifted by the offset row all its processes share."""
    if not settings.is_sandbox:
        return wall_clock

    async def ahead() -> timedelta:
        async with sessions() as session:
            return await session.scalar(select(ClockOffset.ahead)) or timedelta(0)

    return shifted_clock(ahead)
