"""Folding: the tail's readings become hourly buckets, and packed chunks that keep every reading.

A fold claims rows of the tail by deleting them, so no boundary is ever "id > x": a row that
commits late is simply there next time. Claim, chunks and buckets commit together or not at all, so
a fold that dies half-way has done nothing, and two at once never see the same row.

Usage of an earlier UTC day leaves a note in the same transaction: its period may be billed already,
and the next close looks there. Periods end at midnight and nothing takes five minutes to record,
so whatever commits after its period was closed has a note.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, async_sessionmaker

from billing.ids import OrgId
from billing.models import UsageTail
from billing.runtime import Runtime, Sessions
from billing.usage.months import make_partitions, months_in_tail
from billing.usage.recounting import Place, recount
from billing.usage.shards import shard_of

CHUNK_READINGS = 4096
"""As many as one chunk holds: what a drill-down or a recount unpacks at least."""

WHOLE_READINGS = 32
"""A row of the tail with at least as many readings, all of one hour, is a chunk already: moving it
costs a sixth of taking it apart, sorting and packing again. Chunks of a few would waste space."""

TAIL_ROWS = 2_000
"""As many as one transaction folds, about a hundred thousand readings: under a second."""

_LOCK = text("SELECT pg_advisory_xact_lock(hashtext('usage shard'), :shard)")

_FOLD = """
WITH taken AS (
    DELETE FROM usage_tail WHERE shard = $1 AND id IN (
        SELECT id FROM usage_tail
        WHERE shard = $1 AND month = ANY ($2::date[]) ORDER BY id LIMIT $4
    ) RETURNING *
), timed AS MATERIALIZED (
    SELECT taken.*, each.*,
           cardinality(series_ids) >= $5 AND first_hour = last_hour AS is_whole
    FROM taken, LATERAL (
        SELECT min(instant) / 3600000000 AS first_hour, max(instant) / 3600000000 AS last_hour,
               array_agg(timestamptz 'epoch' + instant * interval '1 microsecond') AS occurred_at
        FROM unnest(taken.instants) AS instant
    ) AS each
), moved AS (
    INSERT INTO usage_chunks (hour, shard, form, series_ids, occurred_at, quantities, labels,
                              sources, external_ids, recorded_at)
    SELECT timestamptz 'epoch' + first_hour * interval '1 hour', $1, form, series_ids, occurred_at,
           quantities, labels, sources, external_ids,
           array_fill(timed.recorded_at, ARRAY[cardinality(series_ids)])
    FROM timed WHERE is_whole
), placed AS (
    SELECT form, date_trunc('hour', each.occurred_at, 'UTC') AS hour, each.*, timed.recorded_at,
           row_number() OVER (
               PARTITION BY form, date_trunc('hour', each.occurred_at, 'UTC')
               ORDER BY series_id, each.occurred_at
           ) / $3 AS part
    FROM timed, unnest(
        timed.series_ids, timed.occurred_at, timed.quantities, timed.labels, timed.sources,
        timed.external_ids
    ) AS each (series_id, occurred_at, quantity, label, source, external_id)
    WHERE NOT is_whole
), packed AS (
    INSERT INTO usage_chunks (hour, shard, form, series_ids, occurred_at, quantities, labels,
                              sources, external_ids, recorded_at)
    SELECT hour, $1, form, array_agg(series_id), array_agg(occurred_at), array_agg(quantity),
           CASE form WHEN 'DISTINCT' THEN array_agg(label) END,
           array_agg(source), array_agg(external_id), array_agg(recorded_at)
    FROM placed GROUP BY hour, form, part
), counted AS (
    INSERT INTO usage_buckets AS bucket (series_id, hour, event_count, total, highest)
    SELECT series_id, timestamptz 'epoch' + instant / 3600000000 * interval '1 hour',
           count(*), sum(quantity), max(quantity)
    FROM timed, unnest(timed.series_ids, timed.instants, timed.quantities)
         AS each (series_id, instant, quantity)
    WHERE form <> 'HELD' GROUP BY series_id, instant / 3600000000 ORDER BY 1, 2
    ON CONFLICT (series_id, hour) DO UPDATE SET
        event_count = bucket.event_count + excluded.event_count,
        total = bucket.total + excluded.total,
        highest = greatest(bucket.highest, excluded.highest)
), told_apart AS (
    INSERT INTO usage_distinct_values AS held (series_id, hour, value, event_count)
    SELECT series_id, timestamptz 'epoch' + instant / 3600000000 * interval '1 hour', label,
           count(*)
    FROM timed, unnest(timed.series_ids, timed.instants, timed.labels)
         AS each (series_id, instant, label)
    WHERE form = 'DISTINCT' GROUP BY series_id, instant / 3600000000, label ORDER BY 1, 2, 3
    ON CONFLICT (series_id, hour, value) DO UPDATE SET
        event_count = held.event_count + excluded.event_count
), late AS (
    INSERT INTO late_usage (org_id, day)
    SELECT DISTINCT series.org_id, (each.occurred_at AT TIME ZONE 'UTC')::date
    FROM timed, unnest(timed.series_ids, timed.occurred_at) AS each (series_id, occurred_at),
         usage_series AS series
    WHERE series.id = each.series_id
      AND first_hour < extract(epoch FROM timed.recorded_at + interval '5 minutes') / 3600
      AND (each.occurred_at AT TIME ZONE 'UTC')::date
        < ((timed.recorded_at + interval '5 minutes') AT TIME ZONE 'UTC')::date
)
SELECT coalesce(sum(cardinality(series_ids)), 0)::bigint AS folded, count(*) AS claimed,
       NULL::bigint AS series_id, NULL::timestamptz AS hour
FROM timed
UNION ALL
SELECT DISTINCT 0, 0, series_id, timestamptz 'epoch' + instant / 3600000000 * interval '1 hour'
FROM timed, unnest(timed.series_ids, timed.instants) AS each (series_id, instant)
WHERE form = 'HELD'
"""


@dataclass(frozen=True, slots=True)
class Folded:
    """What one transaction folded; `is_all` unless it stopped at its limit."""

    readings: int
    is_all: bool


async def fold_tail(runtime: Runtime) -> int:
    """Fold whatever there is, a shard a transaction; answers how many readings."""
    async with runtime.sessions() as session:
        shards = (await session.scalars(select(UsageTail.shard).distinct())).all()
    return sum([await fold_shard(runtime.sessions, shard) for shard in sorted(shards)])


async def fold_shard(sessions: Sessions, shard: int) -> int:
    """Fold one shard's tail, in as many transactions as it takes; answers how many readings.

    Waits for another fold of the shard: what that one has claimed is not lost from view.
    """
    readings = 0
    while months := await months_in_tail(sessions, shard):
        await make_partitions(sessions, months)
        async with sessions.begin() as session:
            await lock_shard(session, shard)
            folded = await fold(await session.connection(), shard, months)
        readings += folded.readings
        if folded.is_all:
            break
    return readings


async def settle_usage(session: AsyncSession, *org_ids: OrgId) -> None:
    """Fold on read: after this, whatever was acknowledged for these is in their buckets.

    In transactions of its own. A snapshot that `session` has taken already will not show it.
    """
    sessions = async_sessionmaker(session.bind, expire_on_commit=False)
    for shard in sorted({shard_of(org_id) for org_id in org_ids}):
        await fold_shard(sessions, shard)


async def lock_shard(session: AsyncSession, shard: int) -> None:
    """One fold, recount or void of a shard at a time, until the transaction ends."""
    await session.execute(_LOCK, {"shard": shard})


async def fold(connection: AsyncConnection, shard: int, months: Collection[date]) -> Folded:
    """Fold these months of a shard that is locked; their partitions must be there."""
    limits = (shard, list(months), CHUNK_READINGS, TAIL_ROWS, WHOLE_READINGS)
    rows = (await connection.exec_driver_sql(_FOLD, limits)).all()
    if held := [Place(row.series_id, row.hour) for row in rows if row.series_id]:
        await recount(connection, shard, held)
    claimed = max(row.claimed for row in rows)
    return Folded(max(row.folded for row in rows), is_all=claimed < TAIL_ROWS)
