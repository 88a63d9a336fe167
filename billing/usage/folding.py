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

TAIL_ROWS = 2_000
"""As many as one transaction folds, about a hundred thousand readings: under a second."""

_LOCK = text("SELECT pg_advisory_xact_lock(hashtext('usage shard'), :shard)")

_FOLD = """
WITH taken AS (
    DELETE FROM usage_tail WHERE shard = $1 AND id IN (
        SELECT id FROM usage_tail
        WHERE shard = $1 AND month = ANY ($2::date[]) ORDER BY id LIMIT $4
    ) RETURNING *
), readings AS MATERIALIZED (
    SELECT form, taken.recorded_at, series_id, quantity, label, source, external_id,
           timestamptz 'epoch' + instant * interval '1 microsecond' AS occurred_at,
           timestamptz 'epoch' + instant / 3600000000 * interval '1 hour' AS hour
    FROM taken, unnest(
        taken.series_ids, taken.instants, taken.quantities, taken.labels, taken.sources,
        taken.external_ids
    ) AS each (series_id, instant, quantity, label, source, external_id)
), placed AS (
    SELECT *, row_number() OVER (
        PARTITION BY hour, form ORDER BY series_id, occurred_at
    ) / $3 AS part
    FROM readings
), kept AS (
    INSERT INTO usage_chunks (hour, shard, form, series_ids, occurred_at, quantities, labels,
                              sources, external_ids, recorded_at)
    SELECT hour, $1, form, array_agg(series_id), array_agg(occurred_at), array_agg(quantity),
           CASE form WHEN 'DISTINCT' THEN array_agg(label) END,
           array_agg(source), array_agg(external_id), array_agg(recorded_at)
    FROM placed GROUP BY hour, form, part
), counted AS (
    INSERT INTO usage_buckets AS bucket (series_id, hour, event_count, total, highest)
    SELECT series_id, hour, count(*), sum(quantity), max(quantity)
    FROM readings WHERE form <> 'HELD' GROUP BY series_id, hour ORDER BY series_id, hour
    ON CONFLICT (series_id, hour) DO UPDATE SET
        event_count = bucket.event_count + excluded.event_count,
        total = bucket.total + excluded.total,
        highest = greatest(bucket.highest, excluded.highest)
), told_apart AS (
    INSERT INTO usage_distinct_values AS held (series_id, hour, value, event_count)
    SELECT series_id, hour, label, count(*)
    FROM readings WHERE form = 'DISTINCT' GROUP BY series_id, hour, label ORDER BY 1, 2, 3
    ON CONFLICT (series_id, hour, value) DO UPDATE SET
        event_count = held.event_count + excluded.event_count
), late AS (
    INSERT INTO late_usage (org_id, day)
    SELECT DISTINCT series.org_id, (hour AT TIME ZONE 'UTC')::date
    FROM readings JOIN usage_series AS series ON series.id = readings.series_id
    WHERE (hour AT TIME ZONE 'UTC')::date
        < ((readings.recorded_at + interval '5 minutes') AT TIME ZONE 'UTC')::date
)
SELECT count(*) AS folded, (SELECT count(*) FROM taken) AS claimed,
       NULL::bigint AS series_id, NULL::timestamptz AS hour
FROM readings
UNION ALL
SELECT 0, 0, series_id, hour FROM readings WHERE form = 'HELD' GROUP BY series_id, hour
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
    limits = (shard, list(months), CHUNK_READINGS, TAIL_ROWS)
    rows = (await connection.exec_driver_sql(_FOLD, limits)).all()
    if held := [Place(row.series_id, row.hour) for row in rows if row.series_id]:
        await recount(connection, shard, held)
    claimed = max(row.claimed for row in rows)
    return Folded(max(row.folded for row in rows), is_all=claimed < TAIL_ROWS)
