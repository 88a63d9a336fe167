"""How far each source has been heard of, for each organization: the freshness shown."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import func
from sqlalchemy.dialects.postgresql import Insert
from sqlalchemy.ext.asyncio import AsyncSession

from billing.models import UsageSource
from billing.usage.candidates import Candidate
from billing.usage.desk import Desk, SourceKey
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
    session: AsyncSession, desk: Desk, counted: Iterable[Candidate], now: datetime
) -> dict[SourceKey, tuple[datetime, datetime]]:
    """Note what is news; answers it, to be remembered after the commit.

    To the `HEARD_PRECISION`: every batch of a source would otherwise wait at its one row.
    """
    latest: dict[SourceKey, datetime] = {}
    for one in counted:
        key = (one.organization, one.event.source)
        at = latest.get(key)
        if at is None or one.occurred_at > at:
            latest[key] = one.occurred_at
    if news := desk.unheard(latest, now):
        rows = sorted((org.id, source, *instants) for (org, source), instants in news.items())
        await session.execute(_HEAR, as_given(_SOURCE, rows))
    return news
