"""Fifty million events of twelve months, by SQL: what years of use leave behind, in minutes.

Everything is as the product would have left it, in form and in size: identities, chunks of one hour
and shard, buckets computed from the very readings. The latest month is drawn event by event; the
others are that month moved, with sources, instants and identities of their own. Two things are
cheaper: an identity's last 12 bytes are digits of the event's random id instead of a SHA-256, with
the month's number in them, and the two big indexes are built after the rows, as full as random
inserts leave them.
"""

import asyncio
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from time import monotonic

import asyncpg

from bench.figures import progress
from bench.limits import GROWN_FILLFACTOR
from bench.stage import Stage
from billing.usage.months import make_partitions, month_after

MONTHS = 12
READINGS_A_BUCKET = 5
"""How many events of one series-hour come, about: a series drawn twice has twice as many."""

_CONNECTIONS = 2
_HOUR = timedelta(hours=1)
SLICE_DAYS = 11
"""What one statement makes, so that all of it stays in memory."""

Slice = tuple[datetime, datetime]
Part = tuple[datetime, datetime, int]
"""From when to when of the first month, and by how many days later into the other."""
Statement = tuple[str, tuple[object, ...]]

_SESSION = """
SET work_mem = '1GB';
SET maintenance_work_mem = '3GB';
SET max_parallel_workers_per_gather = 0;
SET enable_sort = off;
SET jit = off
"""
_PLACES = """
CREATE UNLOGGED TABLE bench.series_places AS
SELECT series.id, (get_byte(uuid_send(series.org_id), 15) & 15)::smallint AS shard,
       right(series.org_id::text, 8) AS key_start
FROM usage_series AS series;
CREATE UNIQUE INDEX ON bench.series_places (id);
ANALYZE bench.series_places
"""
_LOOSEN = """
ALTER TABLE usage_identities DROP CONSTRAINT pk_usage_identities;
ALTER TABLE usage_buckets DROP CONSTRAINT pk_usage_buckets
"""
_TIGHTEN = (
    f"""
ALTER TABLE usage_identities ADD CONSTRAINT pk_usage_identities PRIMARY KEY (key)
    WITH (fillfactor = {GROWN_FILLFACTOR})
""",
    f"""
ALTER TABLE usage_buckets ADD CONSTRAINT pk_usage_buckets PRIMARY KEY (series_id, hour)
    WITH (fillfactor = {GROWN_FILLFACTOR})
""",
)
_TIDY = ("VACUUM ANALYZE usage_identities", "VACUUM ANALYZE usage_buckets")
"""By hand, else autovacuum does it while something else is measured."""
_AS_MIGRATED = """
ALTER INDEX pk_usage_identities RESET (fillfactor);
ALTER INDEX pk_usage_buckets RESET (fillfactor)
"""
LOAD = """
WITH drawn AS (
    SELECT hour, floor(50000 * power(random(), 3))::int * 20 + random(1, 20) AS series_id
    FROM generate_series($1::timestamptz, $2::timestamptz - interval '1 hour', '1 hour') AS hour,
         generate_series(1, $3::int)
), series_hours AS MATERIALIZED (
    SELECT hour, shard, series_id, key_start, count(*) * 5 AS readings
    FROM drawn JOIN bench.series_places AS place ON place.id = series_id
    GROUP BY hour, shard, series_id, key_start ORDER BY hour, shard, series_id
), readings AS MATERIALIZED (
    SELECT hour, shard, series_id, key_start, hour + random() * interval '1 hour' AS occurred_at,
           random(0.00, 9.99) AS quantity,
           'evt-' || md5($4::text || row_number() OVER ()) AS external_id
    FROM series_hours, generate_series(1, readings)
), claimed AS (
    INSERT INTO usage_identities (key, fingerprint, occurred_at, is_time_given)
    SELECT (key_start || '00' || substr(external_id, 5, 22))::uuid,
           hashtextextended(external_id, 0), occurred_at, true
    FROM readings
), packed AS (
    INSERT INTO usage_chunks (hour, shard, form, series_ids, occurred_at, quantities, sources,
                              external_ids, recorded_at)
    SELECT hour, shard, 'COUNTED', array_agg(series_id), array_agg(occurred_at),
           array_agg(quantity), array_agg('bench/load'::text), array_agg(external_id),
           array_agg(occurred_at)
    FROM readings GROUP BY hour, shard
), counted AS (
    INSERT INTO usage_buckets (series_id, hour, event_count, total, highest)
    SELECT series_id, hour, count(*), sum(quantity), max(quantity)
    FROM readings GROUP BY series_id, hour
)
SELECT count(*) FROM readings
"""
_KEEP_FIRST = """
DROP TABLE IF EXISTS bench.first_buckets, bench.first_identities;
CREATE UNLOGGED TABLE bench.first_buckets AS SELECT * FROM usage_buckets WHERE hour >= '{month}';
CREATE UNLOGGED TABLE bench.first_identities AS
SELECT key::text AS key, fingerprint, occurred_at FROM usage_identities ORDER BY occurred_at;
CREATE INDEX ON bench.first_identities USING brin (occurred_at)
"""
MOVE = """
WITH chosen AS MATERIALIZED (
    SELECT chunk.*, cardinality(series_ids) AS readings FROM usage_chunks AS chunk
    WHERE hour >= $1 AND hour < $2
), claimed AS (
    INSERT INTO usage_identities (key, fingerprint, occurred_at, is_time_given)
    SELECT overlay(key PLACING $5 FROM 10 FOR 2)::uuid, fingerprint,
           occurred_at - make_interval(hours => $3), true
    FROM bench.first_identities WHERE occurred_at >= $1 AND occurred_at < $2
), packed AS (
    INSERT INTO usage_chunks (hour, shard, form, series_ids, occurred_at, quantities, sources,
                              external_ids, recorded_at)
    SELECT hour - make_interval(hours => $3), shard, form, series_ids, moved.instants, quantities,
           array_fill($4::text, ARRAY[readings]), external_ids, moved.instants
    FROM chosen, LATERAL (
        SELECT ARRAY(
            SELECT at - make_interval(hours => $3) FROM unnest(occurred_at) AS at
        ) AS instants
    ) AS moved
), counted AS (
    INSERT INTO usage_buckets (series_id, hour, event_count, total, highest)
    SELECT series_id, hour - make_interval(hours => $3), event_count, total, highest
    FROM bench.first_buckets WHERE hour >= $1 AND hour < $2
)
SELECT coalesce(sum(readings), 0) FROM chosen
"""


class Loader:
    """Makes months of usage, the latest first, so that an estimate can be timed before the rest."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.readings = 0
        self.seconds = 0.0
        ends = [date(stage.since.year, stage.since.month, 1)]
        for _ in range(MONTHS):
            ends.append(_month_before(ends[-1]))
        self.months = ends[1:]
        """Their first days; the current month, the thirteenth, stays as empty as a new one is."""
        hours = (ends[0] - ends[-1]) // _HOUR
        self._drawn_an_hour = -(-stage.lengths.events // (hours * READINGS_A_BUCKET))

    async def begin(self) -> None:
        """Tables without their big indexes, and a partition for each month."""
        first = self._stage.first
        await make_partitions(self._stage.runtime.sessions, self.months)
        await first.execute("CREATE SCHEMA IF NOT EXISTS bench")
        await first.execute("DROP TABLE IF EXISTS bench.series_places")
        await first.execute(_PLACES)

    async def load_first(self) -> None:
        """Draw the latest month, event by event."""
        first = self.months[0]
        await self._load(self._drawn(start, end) for start, end in _slices(first))
        await self._stage.first.execute(_KEEP_FIRST.format(month=first))

    async def load_others(self) -> None:
        """Move it to where the other months are."""
        days = {month: (month_after(month) - month).days for month in self.months}
        await self._load(
            self._moved(month, number, part)
            for number, month in enumerate(self.months[1:], 1)
            for part in _parts(self.months[0], days[month], days[self.months[0]])
        )

    async def _load(self, statements: Iterable[Statement]) -> None:
        """On two connections, and leave the tables as use would have."""
        started = monotonic()
        await self._stage.first.execute(_LOOSEN)
        pool = [await self._connect() for _ in range(_CONNECTIONS)]
        left = iter(list(statements))
        await asyncio.gather(*(self._make(one, left) for one in pool))
        made = monotonic()
        for each in (_TIGHTEN, _TIDY):
            await asyncio.gather(*(one.execute(text) for one, text in zip(pool, each, strict=True)))
        await self._stage.first.execute(_AS_MIGRATED)
        await asyncio.gather(*(one.close() for one in pool))
        progress(
            f"  {self.readings:,} events after {monotonic() - started:.0f} s,"
            f" indexes and vacuum {monotonic() - made:.0f} s of them"
        )
        self.seconds += monotonic() - started

    def _drawn(self, start: datetime, end: datetime) -> Statement:
        return LOAD, (start, end, self._drawn_an_hour, f"{start:%Y-%m-%d}/")

    def _moved(self, month: date, number: int, part: Part) -> Statement:
        start, end, days_later = part
        back = 24 * ((self.months[0] - month).days - days_later)  # hours: days ask for calendars
        source = f"bench/load/{month:%Y-%m}/{days_later}"
        own = f"{number + (MONTHS if days_later else 0):02x}"  # in each of its keys
        return MOVE, (start, end, back, source, own)

    async def _connect(self) -> asyncpg.Connection:
        connection = await asyncpg.connect(self._stage.services.database_url)
        await connection.execute(_SESSION)
        return connection

    async def _make(self, one: asyncpg.Connection, left: Iterator[Statement]) -> None:
        for text, arguments in left:
            made = await one.fetchval(text, *arguments)
            self.readings += made  # not across the wait: the other connection adds too


def _month_before(month: date) -> date:
    return (month - timedelta(days=1)).replace(day=1)


def _slices(month: date) -> list[Slice]:
    end = month_after(month)
    days = [month + timedelta(days=day) for day in range(0, (end - month).days, SLICE_DAYS)]
    instants = [datetime(day.year, day.month, day.day, tzinfo=UTC) for day in (*days, end)]
    return list(pairwise(instants))


def _parts(first: date, days: int, days_there: int) -> list[Part]:
    """What is moved to make a month of so many days: its last ones again where it is longer."""
    start = datetime(first.year, first.month, 1, tzinfo=UTC)
    cuts = [*range(0, min(days, days_there), SLICE_DAYS), min(days, days_there)]
    parts = [(start + timedelta(days=a), start + timedelta(days=b), 0) for a, b in pairwise(cuts)]
    if (more := days - days_there) > 0:
        parts.append((start, start + timedelta(days=more), days_there))
    return parts
