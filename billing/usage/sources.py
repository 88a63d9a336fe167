"""How far each source has been heard of, for each organization: the freshness shown."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from asyncpg.pgproto.pgproto import UUID  # made from bytes eight times faster than Python's own
from sqlalchemy.ext.asyncio import AsyncSession

from billing.usage.columns import as_numbers
from billing.usage.desk import KnownOrganization, SourceKey
from billing.usage.scanning import Index


def hear_statement(first: int, condition: str = "true") -> str:
    """Notes what is news, with the columns of it and `now` as parameters from `first` on."""
    org_id, source, instant, now = (f"${first + place}" for place in range(4))
    return f"""
    INSERT INTO usage_sources AS held (org_id, source, last_occurred_at, last_recorded_at)
    SELECT org_id, source, timestamptz 'epoch' + instant * interval '1 microsecond',
           {now}::timestamptz
    FROM unnest({org_id}::uuid[], {source}::text[], {instant}::text::bigint[])
         AS each (org_id, source, instant)
    WHERE {condition}
    ON CONFLICT (org_id, source) DO UPDATE SET
        last_occurred_at = greatest(held.last_occurred_at, excluded.last_occurred_at),
        last_recorded_at = greatest(held.last_recorded_at, excluded.last_recorded_at)
    """  # noqa: S608 - of constants alone


HEAR = hear_statement(1)


async def hear_of_sources(
    session: AsyncSession,
    news: Mapping[SourceKey, int],
    now: datetime,
) -> None:
    """Note what is news: how far each source is heard of, in microseconds since 1970."""
    if news:
        connection = await session.connection()
        await connection.exec_driver_sql(HEAR, (*columns_of(news), now))


def news_of(
    index: Index, heard: Iterable[tuple[KnownOrganization, str, int]], now: int
) -> dict[SourceKey, int]:
    """To the `HEARD_PRECISION`: every batch of a source would otherwise wait at its one row."""
    news: dict[SourceKey, int] = {}
    for org, source, at in heard:
        if index.is_news(org, source, at, now):
            key = (org, source)
            if (latest := news.get(key)) is None or at > latest:
                news[key] = at
    return news


def columns_of(news: Mapping[SourceKey, int]) -> tuple[list[UUID], list[str], str]:
    """In one order, so that batches at once wait for each other but never in a circle."""
    rows = sorted((org.id_bytes, source, at) for (org, source), at in news.items())
    return (
        [UUID(id_bytes) for id_bytes, _, _ in rows],
        [source for _, source, _ in rows],
        as_numbers([at for _, _, at in rows]),
    )
