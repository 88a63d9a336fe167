"""What the fake holds, kept in the sandbox's database, whose rows name the fake's ids.

So the two end together, are begun anew together, and never disagree about what was once sent.
"""

import pickle
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from sandbox.databases import plain_url
from sandbox.stripe.world import World

_MAKE = "CREATE TABLE IF NOT EXISTS sandbox_stripe (id int PRIMARY KEY, world bytea NOT NULL)"
_READ = "SELECT world FROM sandbox_stripe"
_WRITE = "INSERT INTO sandbox_stripe VALUES (1, $1) ON CONFLICT (id) DO UPDATE SET world = $1"


class Memory:
    """One account's memory. Written whole and only when something changed: a demo's is small."""

    keeps_on_ticks = True

    def __init__(self, database_url: str) -> None:
        self._url = plain_url(database_url)
        self._kept: bytes | None = None

    async def recall(self) -> World | None:
        """The account as it was last kept; None when there is none yet."""
        async with self._connected() as connection:
            await connection.execute(_MAKE)
            self._kept = await connection.fetchval(_READ)
        if self._kept is None:
            return None
        world = pickle.loads(self._kept)  # noqa: S301 - our own, from our own database
        assert isinstance(world, World), type(world)
        return world

    async def keep(self, world: World) -> None:
        """Write the account, unless it is as it was when last written."""
        now = pickle.dumps(world)
        if now != self._kept:
            async with self._connected() as connection:
                await connection.execute(_MAKE)
                await connection.execute(_WRITE, now)
            self._kept = now

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Any]:
        """One for the occasion: there are few, and PostgreSQL may have restarted in between."""
        connection = await asyncpg.connect(self._url)
        try:
            yield connection
        finally:
            await connection.close()
