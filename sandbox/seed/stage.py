"""The seed's own surroundings: a clock set by hand, and a fake Stripe in the same process.

What the fake holds at the end is kept, and is where the demo's fake Stripe begins.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import msgspec

from billing import invoice_sync, stripe_events
from billing.runtime import Runtime
from billing.stripe_gateway import open_stripe
from sandbox.stripe.app import FakeStripe
from sandbox.stripe.event_body import snapshot
from sandbox.stripe.ids import Ids
from sandbox.stripe.memory import Memory
from sandbox.stripe.server import serving
from sandbox.stripe.world import COLLECTION_DELAY_S, World

_STRIPE_SEED = 2026
_UNTIL_COLLECTED = timedelta(seconds=COLLECTION_DELAY_S)


@dataclass(slots=True)
class HandClock:
    """A clock that stands still until it is set."""

    at: datetime

    async def __call__(self) -> datetime:
        return self.at


@dataclass(slots=True)
class Stage:
    """A runtime of the past. Without a fake, what is due is left for the worker to send."""

    runtime: Runtime
    clock: HandClock
    fake: FakeStripe | None
    told: int = 0

    async def send_what_is_due(self) -> None:
        """Push it, have it paid, and hear of it as webhooks would tell."""
        if self.fake is None:
            return
        await invoice_sync.push_due(self.runtime)
        self.clock.at += _UNTIL_COLLECTED
        await self.fake.run_due(self.clock.at)
        news = list(self.fake.world.events)[: len(self.fake.world.events) - self.told]
        async with self.runtime.sessions.begin() as session:
            for event in reversed(news):
                body = msgspec.json.decode(msgspec.json.encode(snapshot(event)))
                await stripe_events.receive(session, body, self.clock.at)
        self.told += len(news)
        await stripe_events.handle_due(self.runtime)


@asynccontextmanager
async def stage_of(runtime: Runtime, at: datetime) -> AsyncIterator[Stage]:
    """The runtime as of `at`. Beside the real Stripe there is no fake, and nothing is sent."""
    clock = HandClock(at)
    past = replace(runtime, now=clock)
    if runtime.settings.stripe_api_base is None:
        yield Stage(past, clock, None)
        return
    fake = FakeStripe(World(ids=Ids(_STRIPE_SEED)), clock)
    async with serving(fake) as url:
        settings = replace(runtime.settings, stripe_api_base=url)
        async with open_stripe(settings) as stripe:
            yield Stage(replace(past, settings=settings, stripe=stripe), clock, fake)
    await Memory(runtime.settings.database_url).keep(fake.world)
