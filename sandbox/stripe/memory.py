"""What the fake holds, kept in the sandbox's database, whose rows name the fake's ids.

So the two end together, are begun anew together, and never disagree about what was once sent.
"""

import pickle

from sqlalchemy import LargeBinary, bindparam, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from billing.settings import async_database_url
from sandbox.stripe.world import World

_MAKE = text("CREATE TABLE IF NOT EXISTS sandbox_stripe (id int PRIMARY KEY, world bytea NOT NULL)")
_READ = text("SELECT world FROM sandbox_stripe WHERE id = 1")
_WRITE = text(
    "INSERT INTO sandbox_stripe VALUES (1, :world) ON CONFLICT (id) DO UPDATE SET world = :world"
).bindparams(bindparam("world", type_=LargeBinary))
_FORGET = text("DELETE FROM sandbox_stripe")


class Memory:
    """One account's memory. Written whole and only when something changed: a demo's is small."""

    def __init__(self, database_url: str) -> None:
        # Without a pool, for the loop that recalls is not the one that keeps.
        self._engine = create_async_engine(async_database_url(database_url), poolclass=NullPool)
        self._kept: bytes | None = None

    async def recall(self) -> World | None:
        """The account as it was last kept; None when there is none yet."""
        async with self._engine.begin() as connection:
            await connection.execute(_MAKE)
            self._kept = await connection.scalar(_READ)
        if self._kept is None:
            return None
        world = pickle.loads(self._kept)  # noqa: S301 - our own, from our own database
        assert isinstance(world, World), type(world)
        return world

    async def keep(self, world: World) -> None:
        """Write the account, unless it is as it was when last written. `recall` comes first."""
        now = pickle.dumps(world)
        if now != self._kept:
            async with self._engine.begin() as connection:
                await connection.execute(_WRITE, {"world": now})
            self._kept = now

    async def forget(self) -> None:
        """Forget the account, if there is one."""
        async with self._engine.begin() as connection:
            await connection.execute(_MAKE)
            await connection.execute(_FORGET)
        self._kept = None
