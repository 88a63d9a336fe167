"""The sandbox's clock, for processes that want nothing else of the database.

By asyncpg alone: SQLAlchemy and our models would cost each of them a second more to start.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import asyncpg

from billing.clock import Now, shifted_clock
from sandbox.databases import plain_url

_CONNECTIONS_MAX = 2


@asynccontextmanager
async def shared_clock(database_url: str) -> AsyncIterator[Now]:
    """Wall time plus the offset row, read at each call.

    Raises what the database raises while it is away.
    """
    url = plain_url(database_url)
    async with asyncpg.create_pool(url, min_size=0, max_size=_CONNECTIONS_MAX) as pool:

        async def ahead() -> timedelta:
            found: timedelta | None = await pool.fetchval("SELECT ahead FROM clock_offsets")
            return found or timedelta(0)

        yield shifted_clock(ahead)
