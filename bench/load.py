"""Fifty million events of twelve months: what years of use leave behind, in two minutes.

Everything is as the product would have left it, in form and in size: identities, chunks of one hour
and shard, buckets computed from the very readings. The last ten days are drawn event by event; the
days before are those moved, with sources, instants and identities of their own. Three things are
cheaper: an identity's last 12 bytes are digits of the event's random id instead of a SHA-256, with
the number of the move in them; identities lie in the order of their keys, which only a resend could
tell; and the two big indexes are built after the rows, as full as random inserts leave them.
"""

import asyncio
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from time import monotonic

import asyncpg
import numpy as np

from bench import binary
from bench.drawing import (
    DRAW,
    DRAWN_IDENTITIES,
    MOVE_BUCKETS,
    MOVE_CHUNKS,
    PLACES,
    SESSION,
    SOURCES,
    TABLES,
)
from bench.figures import progress
from bench.limits import GROWN_FILLFACTOR
from bench.stage import Stage
from billing.usage.months import make_partitions, partition_of

MONTHS = 12
DRAWN_DAYS = 10
READINGS_A_BUCKET = 5
"""How many events of one series-hour come, about: a series drawn twice has twice as many."""

_HOUR = timedelta(hours=1)
_SPAN = DRAWN_DAYS * timedelta(days=1)
_IDENTITY = binary.layout(
    key=np.dtype([("organization", ">u4"), ("number", "u1"), ("rest", "V11")]),
    fingerprint=">i8",
    occurred_at=">i8",
    is_time_given="u1",
)
_WHOLE = np.dtype((np.void, _IDENTITY.itemsize))
"""The same without its columns: moving one is then moving bytes."""

_LOOSEN = "ALTER TABLE {table} DROP CONSTRAINT IF EXISTS pk_{table}"
_TIGHTEN = f"""
ALTER TABLE {{table}} ADD CONSTRAINT pk_{{table}} PRIMARY KEY ({{columns}})
    WITH (fillfactor = {GROWN_FILLFACTOR});
ALTER INDEX pk_{{table}} RESET (fillfactor)
"""
_LEFT_ALONE = """
ALTER TABLE {table} SET (autovacuum_enabled = off, toast.autovacuum_enabled = off)
"""
"""Months ago it came by for the last time; it must not while something is measured."""


class Loader:
    """Makes months of usage, the latest first, so that an estimate can be timed before the rest."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.readings = 0
        self.seconds = 0.0
        months = [date(stage.since.year, stage.since.month, 1)]
        for _ in range(MONTHS):
            months.append(_month_before(months[-1]))
        self.months = months[1:]
        """Their first days; the current month, the thirteenth, stays as empty as a new one is."""
        self._end, self._latest, self._start = map(_midnight, (months[0], months[1], months[-1]))
        hours = (self._end - self._start) // _HOUR
        self._drawn_an_hour = -(-stage.lengths.events // (hours * READINGS_A_BUCKET))

    async def load_latest(self) -> None:
        """Draw the last days, and make the latest month of them: all that an estimate reads."""
        first, started = self._stage.first, monotonic()
        await make_partitions(self._stage.runtime.sessions, self.months)
        for month in self.months:
            await first.execute(_LEFT_ALONE.format(table=partition_of(month)))
        await first.execute(f"CREATE SCHEMA IF NOT EXISTS bench; {PLACES}; {TABLES}")
        one, other = await self._connect(), await self._connect()
        middle = self._end - _SPAN / 2
        await asyncio.gather(
            self._draw(one, self._end - _SPAN, middle), self._draw(other, middle, self._end)
        )
        await first.execute(SOURCES.format(last=(self._end - self._start) // _SPAN))
        span = (self._latest, self._end)
        await asyncio.gather(self._count(one, *span), self._pack(other, self._moves(*span)))
        await self._finish(started, one, other)

    async def load_others(self) -> None:
        """Make the months before of them too, and the identities of all."""
        started = monotonic()
        one, other = await self._connect(), await self._connect()
        span = (self._start, self._latest)
        moves = self._moves(*span)

        async def count_and_pack() -> None:
            await self._count(one, *span)
            await self._pack(one, moves)

        async def identify_and_pack() -> None:
            await self._identify(other)
            await self._pack(other, moves)

        await asyncio.gather(count_and_pack(), identify_and_pack())
        await self._finish(started, one, other)

    async def _draw(self, one: asyncpg.Connection, start: datetime, end: datetime) -> None:
        await one.execute(DRAW, start, end, self._drawn_an_hour, f"{start:%Y-%m-%d}/")

    async def _count(self, one: asyncpg.Connection, start: datetime, end: datetime) -> None:
        table, columns = "usage_buckets", "series_id, hour"
        await one.execute(_LOOSEN.format(table=table))
        for number in range(*self._numbers(start, end)):
            await one.execute(MOVE_BUCKETS, _hours_back(number), start, end)
        for month in self.months:
            partition = partition_of(month, table)
            await one.execute(_TIGHTEN.format(table=partition, columns=columns))
            await one.execute(f"VACUUM ANALYZE {partition}")  # as autovacuum would, only sooner
        # The table's own is made of theirs.
        await one.execute(f"ALTER TABLE {table} ADD CONSTRAINT pk_{table} PRIMARY KEY ({columns})")

    def _moves(self, start: datetime, end: datetime) -> Iterator[tuple[object, ...]]:
        for number in range(*self._numbers(start, end)):
            yield number, _hours_back(number), start, end

    async def _pack(self, one: asyncpg.Connection, moves: Iterator[tuple[object, ...]]) -> None:
        """Until none is left, also of those that somebody else takes."""
        for move in moves:
            packed = await one.fetchval(MOVE_CHUNKS, *move)
            self.readings += packed

    async def _identify(self, one: asyncpg.Connection) -> None:
        table = "usage_identities"
        drawn = await binary.fetch(one, DRAWN_IDENTITIES, _IDENTITY)
        await one.execute(_LOOSEN.format(table=table))
        await binary.replace(one, table, self._moved(drawn))
        await one.execute(_TIGHTEN.format(table=table, columns="key"))
        await one.execute(f"VACUUM ANALYZE {table}")

    def _moved(self, drawn: binary.Rows) -> Iterator[binary.Rows]:
        """Every identity of every move, in the order of keys."""
        first, last = self._numbers(self._start, self._end)
        times = last - first
        start = binary.microseconds(self._start)
        for block in binary.blocks(drawn["key"]["organization"], times):
            whole = np.tile(drawn[block].view(_WHOLE), times)
            moved = whole.view(_IDENTITY)
            numbers = np.arange(times).repeat(block.stop - block.start)
            moved["key"]["number"] = numbers
            moved["occurred_at"] -= numbers * (_SPAN // timedelta(microseconds=1))
            kept = np.flatnonzero(moved["occurred_at"] >= start)
            organizations = moved["key"]["organization"][kept].astype("u4")
            yield whole[kept[organizations.argsort(kind="stable")]]

    def _numbers(self, start: datetime, end: datetime) -> tuple[int, int]:
        """Which moves bring the drawn days between two instants; the first is none at all."""
        return (self._end - end) // _SPAN, -((start - self._end) // _SPAN)

    async def _finish(self, started: float, *pool: asyncpg.Connection) -> None:
        for one in pool:
            await one.close()
        taken = monotonic() - started
        self.seconds += taken
        progress(f"  {self.readings:,} events after {taken:.0f} s")

    async def _connect(self) -> asyncpg.Connection:
        connection = await asyncpg.connect(self._stage.services.database_url)
        await connection.execute(SESSION)
        return connection


def _hours_back(number: int) -> int:
    return number * (_SPAN // _HOUR)  # hours: days would ask for calendars


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _month_before(month: date) -> date:
    return (month - timedelta(days=1)).replace(day=1)
