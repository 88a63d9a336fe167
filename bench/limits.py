"""What PostgreSQL can do on this server at best: the limits of the ingest rows.

`INSERT` is the least that a deduplicating store must do for 1,000 events, on four connections.
`COPY` beside it cannot deduplicate; how the two compare tells whether a limit is to be believed.
"""

import asyncio
import os
import random
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from itertools import repeat
from operator import itemgetter
from typing import Any

import asyncpg
from asyncpg.pgproto.pgproto import UUID

from bench.bodies import BATCH
from bench.world import METERS, RESOURCES, random_organization

CONNECTIONS = 4
GROWN_FILLFACTOR = 70
"""How full random inserts leave a B-tree: what is built at once is built like that."""
USUAL_FRESH = 0.70
"""The insert beside COPY on empty tables, as measured before: 103,000 and 147,000 rows/s."""
USUAL_STEADY = 0.55
"""The same with 20,000,000 rows there: 72,000 and 130,000 rows/s."""

TABLE = """
CREATE TABLE bench.limit_rows (
    org_id bigint, meter_id int, resource int, ts timestamptz, quantity numeric, key uuid
)
"""
INDEX = "CREATE UNIQUE INDEX limit_rows_key ON bench.limit_rows (org_id, key)"
INSERT = """
INSERT INTO bench.limit_rows SELECT * FROM unnest(
    $1::bigint[], $2::int[], $3::int[], $4::timestamptz[], $5::numeric[], $6::uuid[]
) ON CONFLICT DO NOTHING
"""
PRELOAD = """
INSERT INTO bench.limit_rows SELECT floor(50000 * power(random(), 3)), random(0, 19), random(0, 4),
    timestamptz '2026-01-01Z' + random() * interval '30 days', random(0.00, 9.99),
    gen_random_uuid()
FROM generate_series(1, $1::int) AS n
"""
"""Rows that are there already. The index is built as full as random inserts leave it."""

_BATCHES_A_SECOND = 260  # more than any machine here has taken
_QUANTITIES = [Decimal(hundredths) / 100 for hundredths in range(1, 1000)]

Write = Callable[[asyncpg.Connection, Any], Awaitable[None]]

Row = tuple[int, int, int, datetime, Decimal, UUID]
_BY_KEY = itemgetter(0, 5)


@dataclass(slots=True)
class Limit:
    """Rates of its windows, in rows a second."""

    pool: Sequence[asyncpg.Connection]
    now: datetime
    seconds: float
    is_kept: bool = False
    inserts: list[float] = field(default_factory=list)
    copies: list[float] = field(default_factory=list)

    async def measure(self, *, one_organization: bool = False) -> None:
        """One window of each, on an empty table unless what is there is kept."""
        count = int(self.seconds * _BATCHES_A_SECOND)
        batches = [_batch(self.now, one_organization) for _ in range(count)]
        columns = [tuple(map(list, zip(*batch, strict=True))) for batch in batches]
        self.inserts.append(await self._window(_insert, columns))
        if self.is_kept:  # the same keys again would fail a COPY
            batches = [_batch(self.now, one_organization) for _ in range(count)]
        self.copies.append(await self._window(_copy, batches))

    async def preload(self, rows: int) -> None:
        """Have so many rows in the table, and keep them."""
        first = self.pool[0]
        await self._empty()
        await first.execute("DROP INDEX bench.limit_rows_key")
        await asyncio.gather(*(one.execute(PRELOAD, rows // 2) for one in self.pool[:2]))
        await first.execute("SET maintenance_work_mem = '1GB'")
        await first.execute(INDEX + f" WITH (fillfactor = {GROWN_FILLFACTOR})")
        await first.execute("VACUUM ANALYZE bench.limit_rows")
        self.is_kept = True

    async def _empty(self) -> None:
        await self.pool[0].execute("CREATE SCHEMA IF NOT EXISTS bench")
        await self.pool[0].execute("DROP TABLE IF EXISTS bench.limit_rows")
        await self.pool[0].execute(TABLE)
        await self.pool[0].execute(INDEX)

    async def _window(self, write: Write, batches: Iterable[Any]) -> float:
        if not self.is_kept:
            await self._empty()
            await self.pool[0].execute("CHECKPOINT")
        loop = asyncio.get_running_loop()
        started = loop.time()
        left, end = iter(batches), started + self.seconds
        done = await asyncio.gather(*(_until(end, write, one, left) for one in self.pool))
        return sum(done) * BATCH / (loop.time() - started)


async def _until(end: float, write: Write, one: asyncpg.Connection, left: Iterator[Any]) -> int:
    loop = asyncio.get_running_loop()
    done = 0
    while loop.time() < end and (batch := next(left, None)) is not None:
        await write(one, batch)
        done += 1
    return done


async def _insert(one: asyncpg.Connection, columns: Any) -> None:  # noqa: ANN401 - six lists
    await one.execute(INSERT, *columns)


async def _copy(one: asyncpg.Connection, rows: Any) -> None:  # noqa: ANN401 - a list of Row
    await one.copy_records_to_table("limit_rows", schema_name="bench", records=rows)


def _batch(now: datetime, one_organization: bool) -> list[Row]:
    """A thousand rows in the order of the index, as a sender who knows it would sort them."""
    alone = random_organization()
    keys = os.urandom(16 * BATCH)
    rows = zip(
        [alone if one_organization else random_organization() for _ in range(BATCH)],
        random.choices(range(METERS), k=BATCH),
        random.choices(range(RESOURCES), k=BATCH),
        repeat(now),
        random.choices(_QUANTITIES, k=BATCH),
        [UUID(keys[start : start + 16]) for start in range(0, 16 * BATCH, 16)],
        strict=False,
    )
    return sorted(rows, key=_BY_KEY)
