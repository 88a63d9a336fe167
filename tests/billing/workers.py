"""Workers as processes have them, without processes: doors of their own on one database, one Redis
and one fake Stripe, in virtual time."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace

import httpx
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from billing.invoice_sync import push_due
from billing.invoice_sync.sweep import AT_ONCE
from billing.runtime import Nudges, Runtime, limiter_for, open_redis
from billing.settings import Settings
from billing.stripe_gateway import open_stripe
from sandbox.stripe.app import FakeStripe
from tests.virtual_time import VirtualTime
from tests.world import Clock

LATENCY_SECONDS = 0.25


class Wire(httpx.ASGITransport):
    """Into the fake without a socket; each answer takes a while on the virtual clock."""

    def __init__(self, fake: FakeStripe, time: VirtualTime) -> None:
        super().__init__(app=fake)
        self._time = time

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Half the time on the way there, half on the way back."""
        await self._time.sleep(LATENCY_SECONDS / 2)
        answer = await super().handle_async_request(request)
        await self._time.sleep(LATENCY_SECONDS / 2)
        return answer


@dataclass(frozen=True, slots=True)
class Workers:
    """Several Runtimes, and the time they share."""

    time: VirtualTime
    runtimes: Sequence[Runtime]

    async def push_everything(self) -> None:
        """All sweep until nothing is due, as by cron without its pauses."""
        await self.time.run(self._sweep_all())

    async def _sweep_all(self) -> None:
        await asyncio.gather(*map(_sweep, self.runtimes))


async def _sweep(worker: Runtime) -> None:
    while await push_due(worker):
        pass


@asynccontextmanager
async def workers(
    settings: Settings, fake: FakeStripe, clock: Clock, count: int = 2
) -> AsyncIterator[Workers]:
    """So many, each with its own pool, Redis connection, gateway and limiter."""
    async with AsyncExitStack() as stack:
        engines = tuple(
            create_async_engine(settings.database_url, pool_size=AT_ONCE) for _ in range(count)
        )
        redis = tuple(open_redis(settings) for _ in range(count))
        time = VirtualTime(clock, engines, redis)
        runtimes = []
        for engine, one in zip(engines, redis, strict=True):
            stack.push_async_callback(engine.dispose)
            nudges = Nudges(one)
            stack.push_async_callback(nudges.aclose)
            limits = replace(limiter_for(settings, one, clock), sleep=time.sleep)
            wire = Wire(fake, time)
            stripe = await stack.enter_async_context(open_stripe(settings, limits, wire=wire))
            sessions = async_sessionmaker(engine, expire_on_commit=False)
            runtimes.append(Runtime(settings, engine, sessions, stripe, nudges, clock))
        yield Workers(time, runtimes)
