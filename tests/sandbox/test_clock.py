"""Travel in time: one row moves everybody's clock, forward only, and in the sandbox only."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from billing.clock import wall_time
from billing.runtime import Runtime, clock_for
from billing.settings import Environment
from sandbox.clock import ClockIsReal, TimeRunsForward, set_out, travel, travel_by
from sandbox.shared_clock import shared_clock
from tests.world import in_environment

MONTH = timedelta(days=30)


def is_about(instant: datetime, expected: datetime) -> bool:
    return timedelta(0) <= instant - expected < timedelta(seconds=30)


async def test_all_who_share_the_clock_travel_along(sandbox: Runtime) -> None:
    there = wall_time() + MONTH
    assert await travel(sandbox.sessions, sandbox.settings, there) == there

    assert is_about(await sandbox.now(), there)
    async with shared_clock(sandbox.settings.database_url) as elsewhere:
        assert is_about(await elsewhere(), there)


async def test_a_journey_starts_where_the_last_one_ended(sandbox: Runtime) -> None:
    before = await sandbox.now()
    for _ in range(3):
        await travel_by(sandbox.sessions, sandbox.settings, MONTH)
    assert is_about(await sandbox.now(), before + 3 * MONTH)


async def test_nobody_travels_back(sandbox: Runtime) -> None:
    await travel_by(sandbox.sessions, sandbox.settings, MONTH)
    with pytest.raises(TimeRunsForward, match="already"):
        await travel(sandbox.sessions, sandbox.settings, wall_time())
    with pytest.raises(TimeRunsForward):
        await travel_by(sandbox.sessions, sandbox.settings, -MONTH)
    assert is_about(await sandbox.now(), wall_time() + MONTH - timedelta(seconds=10))


async def test_a_sandbox_without_a_history_may_begin_in_the_past(sandbox: Runtime) -> None:
    past = wall_time() - 12 * MONTH
    async with sandbox.sessions.begin() as session:
        await set_out(session, sandbox.settings, past)
    assert is_about(await sandbox.now(), past)


async def test_outside_the_sandbox_time_is_real(runtime: Runtime) -> None:
    with pytest.raises(ClockIsReal, match="sandbox"):
        await travel_by(runtime.sessions, runtime.settings, MONTH)
    production = in_environment(runtime, Environment.PRODUCTION)
    before = wall_time()
    assert is_about(await clock_for(production.settings, runtime.sessions)(), before)


async def test_beside_the_real_stripe_time_is_real(sandbox: Runtime) -> None:
    settings = replace(sandbox.settings, stripe_api_base=None)
    with pytest.raises(ClockIsReal, match="Stripe's own clock"):
        await travel_by(sandbox.sessions, settings, MONTH)
