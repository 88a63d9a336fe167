"""How far each source has been heard of, for each organization: the freshness shown."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import func
from sqlalchemy.dialects.postgresql import Insert
from sqlalchemy.ext.asyncio import AsyncSession

from billing.models import UsageSource
from billing.usage.candidates import Candidate
from billing.usage.desk import SourceKey
from billing.usage.rows import as_given, insert_rows

_LATEST = ("last_occurred_at", "last_recorded_at")
_SOURCE = ("org_id", "source", *_LATEST)


def _hearing() -> Insert:
    statement = insert_rows(UsageSource, _SOURCE)
    held, heard = UsageSource.__table__.c, statement.excluded
    return statement.on_conflict_do_update(
        index_elements=["org_id", "source"],
        set_={name: func.greatest(held[name], heard[name]) for name in _LATEST},
    )


_HEAR = _hearing()


async def hear_of_sources(
    session: AsyncSession, counted: Iterable[Candidate], now: datetime
) -> dict[SourceKey, datetime]:
    """Note what is news; answers it, to be remembered after the commit.

    To the `HEARD_PRECISION`: every batch of a source would otherwise wait at its one row.
    """
    news: dict[SourceKey, datetime] = {}
    for one in counted:
        org, source, at = one.organization, one.event.source, one.occurred_at
        if not org.is_noted(source, at, now):
            news[org, source] = max(at, news.get((org, source), at))
    if news:
        rows = sorted((org.id, source, at, now) for (org, source), at in news.items())
        await session.execute(_HEAR, as_given(_SOURCE, rows))
    return news
