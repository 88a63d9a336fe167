"""Running one act of the domain from the command line."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from billing.runtime import Runtime, open_runtime
from billing.settings import load_settings

ACTOR = "cli"
"""How the audit names what was done here."""

T = TypeVar("T")


def run(act: Callable[[Runtime], Awaitable[T]]) -> T:
    """Open what the environment names, do it, and close again. Raises `SettingError`."""

    async def main() -> T:
        async with open_runtime(load_settings()) as runtime:
            return await act(runtime)

    return asyncio.run(main())
