"""What PostgreSQL can do on this server at best: the limits of the ingest rows.

`INSERT` is the least that a deduplicating store must do for 1,000 events, on four connections.
`COPY` beside it cannot deduplicate; how the two compare tells whether a limit is to be believed.
"""

import asyncio
import os
import random
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import repeat
from operator import itemgetter
from typing import Any

import asyncpg
import numpy as np
from asyncpg.pgproto.pgproto import UUID

from bench import binary
from bench.bodies import BATCH
from bench.figures import progress
from bench.world import METERS, ORGANIZATIONS, RESOURCES, random_organization

CONNECTIONS = 4
GROWN_FILLFACTOR = 70
"""How full random inserts leave a B-tree: what is built at once is built like that."""
USUAL_FRESH = 0.70
"""The insert beside COPY on empty tables, as measured before: 103,000 and 147,000 rows/s."""
USUAL_STEADY = 0.55
"""The same with 20,000,000 rows there: 72,000 and 130,000 rows/s."""

TABLE = """
CREATE TABLE bench.{name} (
    org_id bigint, meter_id int, resource int, ts timestamptz, quantity numeric, key uuid
)
"""
INDEX = "CREATE UNIQUE INDEX {name}_key ON bench.{name} (org_id, key)"
INSERT = """
INSERT INTO bench.{name} SELECT * FROM unnest(
    $1::bigint[], $2::int[], $3::int[], $4::timestamptz[], $5::numeric[], $6::uuid[]
) ON CONFLICT DO NOTHING
"""
_BATCHES_A_SECOND = 160  # more than any machine here has taken
_QUANTITIES = [Decimal(hundredths) / 100 for hundredths in range(1, 1000)]

_NUMERIC = np.array(
    (2, 0, 0, 2, 0, 0),
    [(name, ">i2") for name in ("digits", "weight", "sign", "scale", "units", "fraction")],
)
"""How many digits to the base of 10,000, the first one's place, and those digits."""
_ROW = binary.layout(
    org_id=">i8",
    meter_id=">i4",
    resource=">i4",
    ts=">i8",
    quantity=_NUMERIC.dtype,
    key=np.dtype([("high", ">u8"), ("low", ">u8")]),
)
_SINCE = binary.microseconds(datetime(2026, 1, 1, tzinfo=UTC))
_MONTH = timedelta(days=30) // timedelta(microseconds=1)

Write = Callable[[asyncpg.Connection, Any], Awaitable[None]]

Row = tuple[int, int, int, datetime, Decimal, UUID]
_BY_KEY = itemgetter(0, 5)


@dataclass(slots=True)
class Limit:
    """Rates of its windows, in rows a second, on a table of its own."""

    pool: Sequence[asyncpg.Connection]
    now: datetime
    seconds: float
    """Of the insert; COPY has a quarter of it."""
    name: str = "limit_rows"
    is_kept: bool = False
    inserts: list[float] = field(default_factory=list)
    copies: list[float] = field(default_factory=list)

    async def measure(self, *, one_organization: bool = False) -> None:
        """One window of each, on an empty table unless what is there is kept."""
        count = int(self.seconds * _BATCHES_A_SECOND)
        batches = [_batch(self.now, one_organization) for _ in range(count + count // 4)]
        columns = [tuple(map(list, zip(*batch, strict=True))) for batch in batches[:count]]
        self.inserts.append(await self._window(self._insert, columns, self.seconds))
        self.copies.append(await self._window(self._copy, batches[count:], self.seconds / 4))
        progress(f"  limit: {self.inserts[-1]:,.0f} rows/s, COPY {self.copies[-1]:,.0f}")

    async def preload(self, rows: int) -> None:
        """Have so many rows in the table, and keep them."""
        first = self.pool[0]
        await self._empty()
        await first.execute(f"DROP INDEX bench.{self.name}_key")
        await binary.replace(first, f"bench.{self.name}", preloaded(rows))
        await first.execute("SET maintenance_work_mem = '2GB'")
        await first.execute(
            f"{INDEX.format(name=self.name)} WITH (fillfactor = {GROWN_FILLFACTOR})"
        )
        await first.execute(f"VACUUM ANALYZE bench.{self.name}")
        self.is_kept = True

    async def _empty(self) -> None:
        await self.pool[0].execute("CREATE SCHEMA IF NOT EXISTS bench")
        await self.pool[0].execute(f"DROP TABLE IF EXISTS bench.{self.name}")
        await self.pool[0].execute(TABLE.format(name=self.name))
        await self.pool[0].execute(INDEX.format(name=self.name))

    async def _window(self, write: Write, batches: Iterable[Any], seconds: float) -> float:
        if not self.is_kept:
            await self._empty()
        loop = asyncio.get_running_loop()
        started = loop.time()
        left, end = iter(batches), started + seconds
        done = await asyncio.gather(*(_until(end, write, one, left) for one in self.pool))
        return sum(done) * BATCH / (loop.time() - started)

    async def _insert(self, one: asyncpg.Connection, columns: Any) -> None:  # noqa: ANN401
        await one.execute(INSERT.format(name=self.name), *columns)

    async def _copy(self, one: asyncpg.Connection, rows: Any) -> None:  # noqa: ANN401
        await one.copy_records_to_table(self.name, schema_name="bench", records=rows)


async def _until(end: float, write: Write, one: asyncpg.Connection, left: Iterator[Any]) -> int:
    loop = asyncio.get_running_loop()
    done = 0
    while loop.time() < end and (batch := next(left, None)) is not None:
        await write(one, batch)
        done += 1
    return done


def preloaded(count: int) -> Iterator[binary.Rows]:
    """Rows that are there already, in the order of the index."""
    some = np.random.default_rng()
    organizations = np.sort((ORGANIZATIONS * some.random(count) ** 3).astype("i8"))
    for block in binary.blocks(organizations):
        rows = binary.rows(_ROW, block.stop - block.start)
        size = len(rows)
        rows["org_id"] = organizations[block]
        rows["meter_id"] = some.integers(METERS, size=size)
        rows["resource"] = some.integers(RESOURCES, size=size)
        rows["ts"] = _SINCE + some.integers(_MONTH, size=size)
        rows["quantity"] = _NUMERIC
        rows["quantity"]["units"] = some.integers(1, 10, size=size)
        rows["quantity"]["fraction"] = some.integers(1, 100, size=size) * 100
        halves = some.integers(2**64, size=(2, size), dtype="u8")
        rows["key"]["high"] = halves[0][np.lexsort((halves[0], rows["org_id"]))]
        rows["key"]["low"] = halves[1]
        yield rows


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
