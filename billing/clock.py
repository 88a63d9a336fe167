"""The one clock. Only edges read it; everything below takes `now` as a parameter.

Outside the sandbox it is the machine's wall clock. In the sandbox an offset row, shared by web,
worker, CLI, simulator and fake Stripe through the sandbox's database, lets a demo or a test travel
in time; the row is neither read nor written anywhere else.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

Now = Callable[[], Awaitable[datetime]]
"""Answers the current instant, aware and in UTC."""


def wall_time() -> datetime:
    """The machine's wall clock, aware, in UTC."""
    return datetime.now(UTC)  # noqa: TID251 - the one place


async def wall_clock() -> datetime:
    """The production clock: no offset, no I/O."""
    return wall_time()


def shifted_clock(offset: Callable[[], Awaitable[timedelta]]) -> Now:
    """The sandbox's clock: wall time plus the shared offset."""

    async def now() -> datetime:
        return wall_time() + await offset()

    return now
