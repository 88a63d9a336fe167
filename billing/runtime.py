"""What a process needs to work: opened at the edge, handed down, built by hand in tests."""

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from arq.connections import ArqRedis, RedisSettings
from redis.exceptions import RedisError
from sqlalchemy import select
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)

from billing.clock import Now, shifted_clock, wall_clock
from billing.ids import OrgId
from billing.models import ClockOffset
from billing.settings import Settings
from billing.stripe_gateway import open_stripe
from billing.stripe_protocol import Stripe

log = logging.getLogger(__name__)

LIVE_CHANNEL = "live"
"""Redis channel that carries the ids of organizations whose figures have moved."""

_POOL_SIZE = 10
_REDIS_TIMEOUT_SECONDS = 1.0

Sessions = async_sessionmaker[AsyncSession]


@dataclass(frozen=True, slots=True)
class Nudges:
    """Redis as a nudge: it makes work start sooner, and losing any of it loses nothing.

    So a Redis that is down is logged and otherwise ignored: every kind of work is swept for.
    """

    redis: ArqRedis

    async def enqueue(self, job: str, *args: Any) -> None:  # noqa: ANN401 - a job's own arguments
        """Ask a worker to do `job` soon; asking twice while it waits is once."""
        job_id = ":".join([job, *map(str, args)])
        try:
            await self.redis.enqueue_job(job, *args, _job_id=job_id)
        except (RedisError, OSError) as error:
            log.warning("nudge %s not sent: %s", job_id, error)

    async def moved(self, org_ids: Sequence[OrgId]) -> None:
        """Tell every web process that these organizations' figures have moved."""
        try:
            async with self.redis.pipeline(transaction=False) as pipe:
                for org_id in org_ids:
                    pipe.publish(LIVE_CHANNEL, str(org_id))
                await pipe.execute()
        except (RedisError, OSError) as error:
            log.warning("live nudge not sent: %s", error)


@dataclass(frozen=True, slots=True)
class Runtime:
    """One process's open doors: our database, Stripe, Redis and the clock."""

    settings: Settings
    engine: AsyncEngine
    sessions: Sessions
    stripe: Stripe
    nudges: Nudges
    now: Now


@asynccontextmanager
async def open_runtime(settings: Settings) -> AsyncIterator[Runtime]:
    """Open everything, and close it again. Redis and Stripe need not be there yet."""
    engine = open_engine(settings)
    sessions = async_sessionmaker(engine, expire_on_commit=False)
    redis = open_redis(settings)
    try:
        async with open_stripe(settings) as stripe:
            now = clock_for(settings, sessions)
            yield Runtime(settings, engine, sessions, stripe, Nudges(redis), now)
    finally:
        await redis.aclose()
        await engine.dispose()


def open_engine(settings: Settings) -> AsyncEngine:
    """A pool of connections that check themselves: a restarted database costs nobody an error."""
    return create_async_engine(settings.database_url, pool_size=_POOL_SIZE, pool_pre_ping=True)


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


def clock_for(settings: Settings, sessions: Sessions) -> Now:
    """The wall clock; in the sandbox, shifted by the offset row all its processes share."""
    if not settings.is_sandbox:
        return wall_clock

    async def ahead() -> timedelta:
        async with sessions() as session:
            return await session.scalar(select(ClockOffset.ahead)) or timedelta(0)

    return shifted_clock(ahead)
