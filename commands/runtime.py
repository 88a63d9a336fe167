"""Running one act of the domain from the command line."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from billing.runtime import Runtime, open_runtime
from billing.settings import load_settings
from commands.console import reaching_database

ACTOR = "cli"
"""How the audit names what was done here."""

T = TypeVar("T")


def run(act: Callable[[Runtime], Awaitable[T]]) -> T:
    """Open what the environment names, do it, and close again. Raises `SettingError`.

    For acts on our database alone: trouble with it is told as such.
    """

    async def main() -> T:
        async with open_runtime(load_settings()) as runtime:
            return await act(runtime)

    with reaching_database():
        return asyncio.run(main())
