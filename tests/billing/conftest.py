"""A runtime that talks to a fake Stripe over real HTTP, on the test's own clock."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from billing.runtime import Runtime
from billing.stripe_gateway import open_stripe
from sandbox.stripe.app import FakeStripe
from sandbox.stripe.ids import Ids
from sandbox.stripe.server import serving
from sandbox.stripe.world import World
from tests.world import Clock


@pytest.fixture
def fake(clock: Clock) -> FakeStripe:
    return FakeStripe(World(ids=Ids(seed=1)), clock)


@pytest.fixture
async def connected(runtime: Runtime, fake: FakeStripe) -> AsyncIterator[Runtime]:
    """The runtime with the fake behind its gateway."""
    async with serving(fake) as url:
        settings = replace(runtime.settings, stripe_api_base=url)
        async with open_stripe(settings) as stripe:
            yield replace(runtime, settings=settings, stripe=stripe)
