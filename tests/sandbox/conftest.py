"""A sandbox: everything real, by the clock that travels."""

from dataclasses import replace

import pytest

from billing.runtime import Runtime, clock_for
from billing.settings import Environment
from tests.world import in_environment


@pytest.fixture
def sandbox(runtime: Runtime) -> Runtime:
    """By its own clock, which is the wall's until a test travels."""
    world = in_environment(runtime, Environment.SANDBOX)
    return replace(world, now=clock_for(world.settings, world.sessions))
