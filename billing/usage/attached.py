"""Whether every reading is at hand: an archived month's are not, though its buckets stay."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from billing.errors import Conflict
from billing.ids import SeriesId


class MonthArchived(Conflict):
    """What is asked for cannot be answered without events that are elsewhere."""

    code = "MONTH_ARCHIVED"


_MISSING = text("""
SELECT archived.month
FROM usage_archived_months AS archived,
     unnest(CAST(:ids AS bigint[]), CAST(:since AS timestamptz[])) AS wanted (series_id, since)
WHERE EXISTS (
    SELECT FROM usage_buckets AS bucket
    WHERE bucket.series_id = wanted.series_id AND bucket.hour < :end
      AND bucket.hour >= date_trunc('hour', wanted.since, 'UTC')
      AND bucket.hour >= CAST(archived.month AS timestamp) AT TIME ZONE 'UTC'
      AND bucket.hour < (CAST(archived.month AS timestamp) + interval '1 month')
                        AT TIME ZONE 'UTC'
)
ORDER BY archived.month LIMIT 1
""")


async def require_attached(
    session: AsyncSession, since: Mapping[SeriesId, datetime], end: datetime
) -> None:
    """Raise `MonthArchived` if any of these series counted something in an archived month since.

    The buckets tell: they stay when a month's readings go.
    """
    asked = {"ids": list(since), "since": list(since.values()), "end": end}
    if month := await session.scalar(_MISSING, asked):
        raise MonthArchived(
            f"The events of {month:%Y-%m} are archived: the month must be attached first."
        )
