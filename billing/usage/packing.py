"""Packing: an hour that is over keeps its readings in as few chunks as they fit in.

Every fold leaves a chunk for each hour, shard and form. Where usage trickles in, that is a reading
or two with twice their size around them. No reading changes when they are put together, and what is
still small then is packed again when more has come. One statement takes and gives, so whoever reads
sees each reading once, before or after; and who archives a month, and counts its chunks, is waited
for.
"""

from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple

from sqlalchemy import text

from billing.rules.periods import floor_hour
from billing.runtime import Runtime, Sessions
from billing.usage.folding import CHUNK_READINGS, WHOLE_READINGS
from billing.usage.months import keep_months
from billing.usage.store import again_on_deadlock

SETTLED_AFTER = timedelta(minutes=15)
"""After the end of an hour most of its usage has come."""

PLACES_MAX = 1_000
"""What one run packs: a few milliseconds each."""

# The index of small chunks answers this by itself; its condition must be written as it is there.
DUE = text(f"""
SELECT hour, shard, form FROM usage_chunks
WHERE cardinality(series_ids) < {WHOLE_READINGS} AND hour < :before
GROUP BY hour, shard, form HAVING count(*) > 1 ORDER BY hour, shard, form LIMIT :places
""")  # noqa: S608 - of constants alone
_PACK = f"""
WITH taken AS (
    DELETE FROM usage_chunks
    WHERE (hour, shard, form) = ($1, $2, $3) AND cardinality(series_ids) < {WHOLE_READINGS}
    RETURNING *
), placed AS (
    SELECT each.*, row_number() OVER (ORDER BY series_id, each.occurred_at) / $4 AS part
    FROM taken, unnest(
        taken.series_ids, taken.occurred_at, taken.quantities, taken.labels, taken.sources,
        taken.external_ids, taken.recorded_at
    ) AS each (series_id, occurred_at, quantity, label, source, external_id, recorded_at)
)
INSERT INTO usage_chunks (hour, shard, form, series_ids, occurred_at, quantities, labels, sources,
                          external_ids, recorded_at)
SELECT $1, $2, $3, array_agg(series_id), array_agg(occurred_at), array_agg(quantity),
       CASE $3 WHEN 'DISTINCT' THEN array_agg(label) END,
       array_agg(source), array_agg(external_id), array_agg(recorded_at)
FROM placed GROUP BY part
"""  # noqa: S608


class Place(NamedTuple):
    """Whose chunks can be put together: those of one hour, shard and form."""

    hour: datetime
    shard: int
    form: str


async def pack_hours(runtime: Runtime) -> int:
    """Pack what lies in small chunks of hours that are over; answers how many places it was.

    Each in a transaction of its own. A month that is detached meanwhile has nothing left to pack.
    """
    before = floor_hour(await runtime.now() - SETTLED_AFTER)
    async with runtime.sessions() as session:
        rows = await session.execute(DUE, {"before": before, "places": PLACES_MAX})
        due = [Place(*row) for row in rows]
    for place in due:
        await again_on_deadlock(partial(_pack, runtime.sessions, place))
    return len(due)


async def _pack(sessions: Sessions, place: Place) -> None:
    async with sessions.begin() as session:
        await keep_months(session)
        connection = await session.connection()
        await connection.exec_driver_sql(_PACK, (*place, CHUNK_READINGS))
