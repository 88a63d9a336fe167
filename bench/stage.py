"""What every measurement stands on: the servers, the world, and how long a window is."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import asyncpg

from bench.bodies import Sending
from bench.limits import CONNECTIONS, Limit
from bench.processes import HOST, settings_of
from bench.sending import Sent
from bench.world import make_world
from billing.clock import wall_time
from billing.rules.periods import floor_hour
from billing.runtime import Runtime, open_runtime
from billing.settings import load_settings
from billing.usage import fold_tail
from billing.usage.months import make_partitions, month_of, partition_of
from sandbox.services import Services

_IDENTITIES = "SELECT count(*) FROM usage_identities"
_STORED = """
SELECT (SELECT count(*) FROM usage_events WHERE hour >= $1) AS readings,
       (SELECT coalesce(sum(total), 0) FROM usage_buckets WHERE hour >= $1) AS total
"""
_PUT_AWAY = """
ALTER TABLE usage_identities RENAME TO identities_of_years;
CREATE TABLE usage_identities (LIKE identities_of_years INCLUDING ALL)
"""
_BACK = """
DROP TABLE usage_identities;
ALTER TABLE identities_of_years RENAME TO usage_identities
"""


@dataclass(frozen=True, slots=True)
class Lengths:
    """How much is measured."""

    rounds: int = 3
    ours_seconds: float = 6.0
    limit_seconds: float = 3.0
    single_seconds: float = 2.5
    flood_seconds: float = 60.0
    events: int = 50_000_000
    limit_rows: int = 20_000_000
    reaggregated: int = 10_000_000


QUICK = Lengths(
    rounds=1,
    ours_seconds=5.0,
    limit_seconds=2.0,
    single_seconds=1.5,
    flood_seconds=8.0,
    events=3_000_000,
    limit_rows=1_000_000,
    reaggregated=1_000_000,
)
"""For trying the benchmarks themselves: its figures mean little."""


class WrongFigures(Exception):
    """What is stored is not what was acknowledged: no speed is worth that."""


@dataclass(slots=True)
class Acknowledged:
    """What was answered 204."""

    events: int = 0
    hundredths: int = 0

    def add(self, sent: Sent) -> None:
        """One more window."""
        self.events += sent.events
        self.hundredths += sent.hundredths


@dataclass(frozen=True, slots=True)
class Stage:
    """The servers with everything on them but usage; `since` is before any event that is sent."""

    services: Services
    settings: dict[str, str]
    pool: list[asyncpg.Connection]
    runtime: Runtime
    token: str
    lengths: Lengths
    since: datetime

    @property
    def first(self) -> asyncpg.Connection:
        """A connection for what is asked one by one."""
        return self.pool[0]

    def sending(self) -> Sending:
        """Requests of this moment."""
        return Sending(HOST, self.token, wall_time())

    def limit(self, name: str = "limit_rows") -> Limit:
        """The limit of the ingest rows, nothing measured yet."""
        return Limit(self.pool, wall_time(), self.lengths.limit_seconds, name)

    async def empty_usage(self) -> None:
        """As if no event had ever come; series stay."""
        await self.drain()
        await self.first.execute(
            "TRUNCATE usage_identities, usage_tail, usage_chunks, usage_buckets, usage_sources"
        )
        await self.first.execute("CHECKPOINT")

    async def empty_month(self) -> None:
        """As if nothing had been counted in the current month yet; identities stay."""
        await self.drain()
        months = {month_of(self.since), month_of(wall_time())}
        await make_partitions(self.runtime.sessions, months)
        tables = ("usage_buckets", "usage_chunks")
        names = [partition_of(month, table) for month in months for table in tables]
        await self.first.execute(f"TRUNCATE usage_tail, usage_sources, {', '.join(names)}")

    @asynccontextmanager
    async def without_past(self) -> AsyncIterator[None]:
        """As if no event had ever come: all identities are put away for as long as this lasts."""
        await self.first.execute(_PUT_AWAY)
        try:
            yield
        finally:
            await self.first.execute(_BACK)

    async def drain(self) -> None:
        """Fold until there is nothing left to fold."""
        while await fold_tail(self.runtime):
            pass

    async def check(
        self, known: Acknowledged, *, doubtful: int = 0, are_all_claims_theirs: bool = True
    ) -> None:
        """Every event acknowledged is claimed once, kept once and counted once, to the hundredth.

        Up to `doubtful` more may be there: those whose sender was told to come again. Where claims
        of others are there too, `check_identities` counts all later. Raises `WrongFigures`.
        """
        stored = await self.first.fetchrow(_STORED, self.since)
        found = (stored["readings"], stored["total"])
        wanted = (known.events, Decimal(known.hundredths) / 100)
        if found != wanted and not 0 < found[0] - known.events <= doubtful:
            raise WrongFigures(f"Acknowledged {wanted}, stored {found}.")
        if are_all_claims_theirs:
            await self.check_identities(found[0])

    async def check_identities(self, wanted: int) -> None:
        """So many events are claimed, ever. Raises `WrongFigures`."""
        if (found := await self.first.fetchval(_IDENTITIES)) != wanted:
            raise WrongFigures(f"{wanted} events are stored, {found} are claimed.")


@asynccontextmanager
async def staged(services: Services, lengths: Lengths) -> AsyncIterator[Stage]:
    """Everything but usage, on servers that are migrated."""
    token = await make_world(services.database_url)
    settings = settings_of(services)
    connections = (asyncpg.connect(services.database_url) for _ in range(CONNECTIONS))
    pool = list(await asyncio.gather(*connections))
    try:
        async with open_runtime(load_settings(settings)) as runtime:
            since = floor_hour(wall_time())
            yield Stage(services, settings, pool, runtime, token, lengths, since)
    finally:
        await asyncio.gather(*(one.close() for one in pool))
