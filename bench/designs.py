"""`python -m bench.designs`: the designs that were tried, as SQL alone, on the same workload.

No HTTP, no checks: what each would ask of PostgreSQL for a batch of 1,000 events that were judged
already, on four connections and empty tables, beside the limit of `ingest_batch` of the same run.
"""

import asyncio
import gc
import os
import sys
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from statistics import median
from time import perf_counter
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import uvloop

from bench.bodies import BATCH, mixed
from bench.design_sql import (
    BUCKETS,
    CLAIM,
    COUNT,
    FOLD_PACKED,
    FOLD_ROWS,
    KEEP_PACKED,
    KEEP_ROWS,
    SHARDS,
    TABLES,
    TAIL_ROWS,
)
from bench.figures import progress
from bench.limits import CONNECTIONS, Limit
from bench.server import servers
from bench.world import METERS
from billing.clock import wall_time

ROUNDS = 3
SECONDS = 4.0
_BATCHES_A_SECOND = 260
_SOURCE = "bench/sender"


@dataclass(frozen=True, slots=True)
class Batch:
    """A thousand events in the order of their keys, by column."""

    keys: list[UUID]
    fingerprints: list[int]
    occurred_at: list[datetime]
    given: list[bool]
    series: list[int]
    quantities: list[str]
    sources: list[str]
    ids: list[str]

    @property
    def identities(self) -> tuple[list[Any], ...]:
        """What a claim takes."""
        return self.keys, self.fingerprints, self.occurred_at, self.given

    @property
    def readings(self) -> tuple[list[Any], ...]:
        """What is counted, and kept."""
        return self.series, self.occurred_at, self.quantities, self.sources, self.ids

    def by_shard(self) -> list[tuple[Any, ...]]:
        """The readings of each shard, as arrays."""
        places = defaultdict[int, list[int]](list)
        for place, series in enumerate(self.series):
            places[series // METERS % SHARDS].append(place)
        return [
            (shard, *([column[n] for n in chosen] for column in self.readings))
            for shard, chosen in sorted(places.items())
        ]


async def row_events_and_rollup(one: asyncpg.Connection, batch: Batch) -> None:
    """A: everything at once, so nothing is left to fold."""
    async with one.transaction():
        await one.execute(CLAIM, *batch.identities)
        await one.execute(KEEP_ROWS, *batch.readings)
        await one.execute(COUNT, *batch.readings[:3])


async def row_events_and_row_tail(one: asyncpg.Connection, batch: Batch) -> None:
    """B: what is still to be counted is a row for each reading."""
    async with one.transaction():
        await one.execute(CLAIM, *batch.identities)
        await one.execute(KEEP_ROWS, *batch.readings)
        await one.execute(TAIL_ROWS, *batch.readings[:3])


async def packed_tail(one: asyncpg.Connection, batch: Batch) -> None:
    """C: a row for each shard of the batch; folding makes chunks and buckets of it."""
    async with one.transaction():
        await one.execute(CLAIM, *batch.identities)
        await one.executemany(KEEP_PACKED, batch.by_shard())


@dataclass(slots=True)
class Design:
    """One of them, and what was measured: rates, microseconds and bytes of an event."""

    name: str
    write: Callable[[asyncpg.Connection, Batch], Awaitable[None]]
    folds: Sequence[tuple[str, Sequence[int]]]
    kept: Sequence[str]
    rates: list[float] = field(default_factory=list)
    fold_us: list[float] = field(default_factory=list)
    kept_bytes: list[float] = field(default_factory=list)
    bucket_bytes: list[float] = field(default_factory=list)

    async def measure(self, pool: Sequence[asyncpg.Connection], now: datetime) -> None:
        """One window on empty tables, then one fold of all of it, on one connection."""
        first = pool[0]
        await first.execute(TABLES)
        await first.execute("CHECKPOINT")
        batches = iter([_batch(now, drawn) for drawn in mixed(int(SECONDS * _BATCHES_A_SECOND))])
        started = perf_counter()
        done = sum(await asyncio.gather(*(self._until(started, one, batches) for one in pool)))
        self.rates.append(done * BATCH / (perf_counter() - started))
        started = perf_counter()
        for statement, shards in self.folds:
            for shard in shards:
                await first.execute(statement, shard)
        self.fold_us.append((perf_counter() - started) / (done * BATCH) * 1_000_000)
        await self._check(first, done * BATCH)
        self.kept_bytes.append(await _bytes(first, self.kept) / (done * BATCH))
        self.bucket_bytes.append(await _bytes(first, ["buckets"]) / (done * BATCH))
        progress(f"  {self.name}: {self.rates[-1]:,.0f} events/s, fold {self.fold_us[-1]:.1f} us")

    async def _until(self, start: float, one: asyncpg.Connection, left: Iterator[Batch]) -> int:
        done = 0
        while perf_counter() < start + SECONDS and (batch := next(left, None)):
            await self.write(one, batch)
            done += 1
        return done

    async def _check(self, one: asyncpg.Connection, events: int) -> None:
        counted = await one.fetchval(BUCKETS)
        assert counted == events, f"{self.name}: {events} events, {counted} counted"

    def cells(self, limit: float) -> str:
        """Its row of the table."""
        return (
            f"| {self.name} | {median(self.rates):,.0f} ({min(self.rates):,.0f}–"
            f"{max(self.rates):,.0f}) | {median(self.rates) / limit:.2f} |"
            f" {median(self.fold_us):.1f} | {median(self.kept_bytes):.0f} |"
            f" {median(self.bucket_bytes):.0f} |"
        )


def main() -> None:
    """Measure them in turn, and print a table."""
    gc.disable()
    with servers() as found, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sys.stdout.write(runner.run(_measure(found.database_url)) + "\n")


async def _measure(database_url: str) -> str:
    pool = [await asyncpg.connect(database_url) for _ in range(CONNECTIONS)]
    await pool[0].execute("CREATE SCHEMA bench")
    now = wall_time()
    limit = Limit(pool, now, SECONDS)
    rows = ("identities", "events")
    designs = [
        Design("A: row events, rollup in the transaction", row_events_and_rollup, (), rows),
        Design(
            "B: row events, a row a reading to fold",
            row_events_and_row_tail,
            [(FOLD_ROWS, [0])],
            rows,
        ),
        Design(
            "C: packed tail to fold",
            packed_tail,
            [(FOLD_PACKED, range(SHARDS))],
            ("identities", "chunks"),
        ),
    ]
    for _ in range(ROUNDS):
        await limit.measure()
        progress(f"  limit: {limit.inserts[-1]:,.0f} rows/s, COPY {limit.copies[-1]:,.0f}")
        for design in designs:
            await design.measure(pool, now)
    await asyncio.gather(*(one.close() for one in pool))
    return _table(limit, designs)


def _table(limit: Limit, designs: Sequence[Design]) -> str:
    plain = [
        ("COPY (no deduplication)", limit.copies),
        ("INSERT ON CONFLICT: the limit", limit.inserts),
    ]
    insert = median(limit.inserts)
    return "\n".join(
        [
            "| | events/s acknowledged | of the limit | fold, us/event | B/event | B/bucket |",
            "|---|---|---|---|---|---|",
            *(
                f"| {name} | {median(rates):,.0f} ({min(rates):,.0f}–{max(rates):,.0f})"
                f" | {median(rates) / insert:.2f} | | | |"
                for name, rates in plain
            ),
            *(design.cells(insert) for design in designs),
        ]
    )


def _batch(now: datetime, drawn: Sequence[int]) -> Batch:
    """Keys begin with the organization, so that those of one lie together in the index."""
    rows = sorted(
        (
            UUID(bytes=(one // METERS).to_bytes(4, "big") + os.urandom(12)),
            int.from_bytes(os.urandom(7), "big"),
            now + timedelta(milliseconds=place),
            True,
            one,
            "1.25",
            _SOURCE,
            str(uuid4()),
        )
        for place, one in enumerate(drawn)
    )
    return Batch(*map(list, zip(*rows, strict=True)))


async def _bytes(one: asyncpg.Connection, tables: Sequence[str]) -> int:
    sizes = [
        await one.fetchval("SELECT pg_total_relation_size($1::regclass)", f"bench.{name}")
        for name in tables
    ]
    return sum(sizes)


if __name__ == "__main__":
    main()
