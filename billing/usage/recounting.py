"""Recounting: series-hours from the readings themselves, in whatever order they arrived.

For what cannot simply be added up: values held until the next one, and whatever a void has changed.
It replaces what was there, so doing it twice, or for nothing, is harmless. Under the shard's lock
a shard's chunks hold exactly the readings its buckets have counted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from billing.ids import SeriesId
from billing.rules.periods import Period


@dataclass(frozen=True, slots=True)
class Place:
    """One hour of one series: a bucket, there or not."""

    series_id: SeriesId
    hour: datetime


class Sums(NamedTuple):
    """What a bucket holds; labels as `name × count`. None for what its form does not have."""

    event_count: int | None
    total: Decimal | None
    highest: Decimal | None
    first_at: datetime | None
    last_at: datetime | None
    last_value: Decimal | None
    weighted: Decimal | None
    labels: list[str] | None


@dataclass(frozen=True, slots=True)
class Difference:
    """A bucket that is not what its readings come to; None for one that is not there."""

    place: Place
    counted: Sums | None
    recounted: Sums | None


_FORGET = (
    """
DELETE FROM usage_buckets AS bucket
USING unnest($1::bigint[], $2::timestamptz[]) AS place (series_id, hour)
WHERE bucket.series_id = place.series_id AND bucket.hour = place.hour
""",
    """
DELETE FROM usage_distinct_values AS held
USING unnest($1::bigint[], $2::timestamptz[]) AS place (series_id, hour)
WHERE held.series_id = place.series_id AND held.hour = place.hour
""",
)
# `usage_readings` is every folded reading but the voided. Ties in time go by source and id, by code
# point. Of a held value what is left of the hour counts: `weighted` is value x seconds from the
# first reading on.
_HELD_SUMS = """
SELECT series_id, hour, count(*) AS event_count, sum(quantity) AS total, max(quantity) AS highest,
       min(occurred_at) AS first_at, max(occurred_at) AS last_at,
       max(quantity) FILTER (WHERE until IS NULL) AS last_value,
       sum(quantity * extract(epoch FROM coalesce(until, hour + interval '1 hour') - occurred_at))
           AS weighted
FROM (
    SELECT *, lead(occurred_at) OVER (
        PARTITION BY series_id, hour
        ORDER BY occurred_at, source COLLATE "C", external_id COLLATE "C"
    ) AS until
    FROM chosen WHERE form = 'HELD'
) AS ordered
GROUP BY series_id, hour
"""
_OTHER_SUMS = """
SELECT series_id, hour, count(*) AS event_count, sum(quantity) AS total, max(quantity) AS highest
FROM chosen WHERE form <> 'HELD' GROUP BY series_id, hour
"""
_OF_PLACES = """
WITH chosen AS MATERIALIZED (
    SELECT * FROM usage_readings
    WHERE shard = $1 AND hour = ANY ($4) AND (series_id, hour) IN (
        SELECT * FROM unnest($2::bigint[], $3::timestamptz[])
    )
)
"""
_COUNT = (
    _OF_PLACES
    + "INSERT INTO usage_buckets (series_id, hour, event_count, total, highest, first_at, last_at,"
    + " last_value, weighted)"
    + _HELD_SUMS,
    _OF_PLACES
    + "INSERT INTO usage_buckets (series_id, hour, event_count, total, highest)"
    + _OTHER_SUMS,
)
_TELL_APART = (
    _OF_PLACES
    + """
INSERT INTO usage_distinct_values (series_id, hour, value, event_count)
SELECT series_id, hour, label, count(*) FROM chosen WHERE label IS NOT NULL
GROUP BY series_id, hour, label
"""
)
# COUNTED and HELD readings are each read by themselves: only the held have to be put in order.
_COMPARE = (
    """
WITH chosen AS NOT MATERIALIZED (
    SELECT * FROM usage_readings
    WHERE hour >= $2 AND hour < $3 AND ($1::int IS NULL OR shard = $1)
), of_shard AS (
    SELECT id AS series_id FROM usage_series
    WHERE $1::int IS NULL OR get_byte(uuid_send(org_id), 15) % 16 = $1
), recounted AS (
    SELECT sums.*, NULL::timestamptz AS first_at, NULL::timestamptz AS last_at,
           NULL::numeric AS last_value, NULL::numeric AS weighted
    FROM ("""  # noqa: S608 - constants of this file
    + _OTHER_SUMS
    + ") AS sums UNION ALL "
    + _HELD_SUMS
    + """
), labels_recounted AS (
    SELECT series_id, hour, array_agg(label || ' × ' || times ORDER BY label) AS labels
    FROM (
        SELECT series_id, hour, label, count(*) AS times
        FROM chosen WHERE form = 'DISTINCT' GROUP BY series_id, hour, label
    ) AS told_apart GROUP BY series_id, hour
), labels_counted AS (
    SELECT series_id, hour, array_agg(value || ' × ' || event_count ORDER BY value) AS labels
    FROM usage_distinct_values JOIN of_shard USING (series_id)
    WHERE hour >= $2 AND hour < $3 GROUP BY series_id, hour
), counted AS (
    SELECT usage_buckets.* FROM usage_buckets JOIN of_shard USING (series_id)
    WHERE hour >= $2 AND hour < $3
)
SELECT series_id, hour,
       counted.event_count, counted.total, counted.highest, counted.first_at, counted.last_at,
       counted.last_value, counted.weighted, labels_counted.labels,
       recounted.event_count, recounted.total, recounted.highest, recounted.first_at,
       recounted.last_at, recounted.last_value, recounted.weighted, labels_recounted.labels
FROM recounted FULL JOIN counted USING (series_id, hour)
FULL JOIN labels_recounted USING (series_id, hour)
FULL JOIN labels_counted USING (series_id, hour)
WHERE (counted.event_count, counted.total, counted.highest, counted.first_at, counted.last_at,
       counted.last_value, counted.weighted, labels_counted.labels)
   IS DISTINCT FROM (recounted.event_count, recounted.total, recounted.highest,
       recounted.first_at, recounted.last_at, recounted.last_value, recounted.weighted,
       labels_recounted.labels)
ORDER BY series_id, hour
"""
)


async def recount(connection: AsyncConnection, shard: int, places: Sequence[Place]) -> None:
    """Make these buckets, and their distinct labels, what the shard's chunks say.

    The shard must be locked and folded. A bucket without a reading left is gone.
    """
    series_ids = [place.series_id for place in places]
    hours = [place.hour for place in places]
    # A plan for any arrays takes seconds where one for these takes milliseconds.
    await connection.exec_driver_sql("SET LOCAL plan_cache_mode = force_custom_plan")
    for statement in _FORGET:
        await connection.exec_driver_sql(statement, (series_ids, hours))
    wanted = (shard, series_ids, hours, sorted(set(hours)))
    for statement in (*_COUNT, _TELL_APART):
        await connection.exec_driver_sql(statement, wanted)


async def differences(session: AsyncSession, shard: int | None, span: Period) -> list[Difference]:
    """Re-aggregate the readings of whole hours, of one shard or all; every bucket that differs.

    One statement reads chunks and buckets in one snapshot, so a fold meanwhile is in both or in
    neither, and what is still in the tail is in neither too.
    """
    connection = await session.connection()
    rows = await connection.exec_driver_sql(_COMPARE, (shard, span.start, span.end))
    return [_difference(tuple(row)) for row in rows]


def _difference(row: tuple[Any, ...]) -> Difference:
    width = len(Sums._fields)
    counted, recounted = row[2 : 2 + width], row[2 + width :]
    return Difference(
        Place(row[0], row[1]),
        Sums(*counted) if any(counted) else None,
        Sums(*recounted) if any(recounted) else None,
    )
