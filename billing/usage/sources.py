"""How far each source has been heard of, for each organization: the freshness shown."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from asyncpg.pgproto.pgproto import UUID  # made from bytes eight times faster than Python's own
from sqlalchemy.ext.asyncio import AsyncSession

from billing.usage.columns import as_numbers, microseconds_of
from billing.usage.desk import KnownOrganization, SourceKey

_HEAR = """
INSERT INTO usage_sources AS held (org_id, source, last_occurred_at, last_recorded_at)
SELECT org_id, source, timestamptz 'epoch' + instant * interval '1 microsecond', $4
FROM unnest($1::uuid[], $2::text[], $3::text::bigint[])
     AS each (org_id, source, instant)
ON CONFLICT (org_id, source) DO UPDATE SET
    last_occurred_at = greatest(held.last_occurred_at, excluded.last_occurred_at),
    last_recorded_at = greatest(held.last_recorded_at, excluded.last_recorded_at)
"""


async def hear_of_sources(
    session: AsyncSession,
    heard: Iterable[tuple[KnownOrganization, str, datetime]],
    now: datetime,
) -> dict[SourceKey, datetime]:
    """Note what is news; answers it, to be remembered after the commit.

    To the `HEARD_PRECISION`: every batch of a source would otherwise wait at its one row.
    """
    news: dict[SourceKey, datetime] = {}
    for org, source, at in heard:
        until = org.heard.get(source)
        if until is None or at >= until[0] or now >= until[1]:
            key = (org, source)
            if (latest := news.get(key)) is None or at > latest:
                news[key] = at
    if news:
        connection = await session.connection()
        await connection.exec_driver_sql(_HEAR, (*_columns(news), now))
    return news


def _columns(news: Mapping[SourceKey, datetime]) -> tuple[list[UUID], list[str], str]:
    """In one order, so that batches at once wait for each other but never in a circle."""
    rows = sorted((org.id_bytes, source, at) for (org, source), at in news.items())
    return (
        [UUID(id_bytes) for id_bytes, _, _ in rows],
        [source for _, source, _ in rows],
        as_numbers([microseconds_of(at) for _, _, at in rows]),
    )
