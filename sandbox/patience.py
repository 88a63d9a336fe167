"""Waiting for what another process does: by looking, up to a limit."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

LOOK_SECONDS = 0.1

T = TypeVar("T")


async def until(claim: Callable[[], Awaitable[T | None]], seconds: float) -> T:
    """The first answer of `claim` that is truthy. Raises `TimeoutError` if none is in time."""
    async with asyncio.timeout(seconds):
        while True:
            if found := await claim():
                return found
            await asyncio.sleep(LOOK_SECONDS)
