"""Archived months: packed readings taken out of the way, into a file, and back, in seconds.

Identities and buckets stay, so estimates, invoices and the verdict on a resend do not change; what
needs the readings themselves (a void, a drill-down, `verify`) needs the month attached. A detached
month is a table of its own; exported and verified against its file, that table can be dropped.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum

from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from billing.errors import Conflict, Unavailable
from billing.models import UsageArchivedMonth, UsageTail
from billing.runtime import Sessions
from billing.usage.archive_files import export_month, import_month, remove_month
from billing.usage.folding import fold_shard
from billing.usage.intake import AGE_MAX
from billing.usage.month_tables import (
    Contents,
    apart_of,
    checked_contents,
    contents_of,
    get_archived,
    not_here,
)
from billing.usage.months import (
    bounds_of,
    is_table,
    lock_months,
    month_after,
    partition_of,
    sampled,
)

__all__ = [
    "Contents",
    "Month",
    "MonthState",
    "attach_month",
    "detach_month",
    "export_month",
    "import_month",
    "months_kept",
    "remove_month",
]

_DETACH_ATTEMPTS = 3
_LOCK_NOT_AVAILABLE = "55P03"
_BOUNDED_WAIT = text("SET LOCAL lock_timeout = '5s'")
"""Whoever waits to change the partitions makes everybody wait who comes after."""

_LIST = text("""
SELECT to_date(right(relname, 7), 'YYYY_MM') AS month, 'ATTACHED' AS state,
       pg_total_relation_size(pg_class.oid) AS bytes, NULL::timestamptz AS archived_at
FROM pg_class JOIN pg_inherits ON inhrelid = pg_class.oid
WHERE inhparent = 'usage_chunks'::regclass
UNION ALL
SELECT month, CASE WHEN apart IS NULL THEN 'REMOVED' ELSE 'DETACHED' END,
       coalesce(pg_total_relation_size(apart), 0), archived_at
FROM usage_archived_months,
     to_regclass('usage_archive_' || to_char(month, 'YYYY_MM')) AS apart
ORDER BY month
""")


class MonthState(StrEnum):
    """Where a month's packed readings are: in use, in a table apart, or not in this database."""

    ATTACHED = "ATTACHED"
    DETACHED = "DETACHED"
    REMOVED = "REMOVED"


@dataclass(frozen=True, slots=True)
class Month:
    """One month of readings, and what it takes of the disk."""

    month: date
    state: MonthState
    bytes: int
    archived_at: datetime | None


async def months_kept(session: AsyncSession) -> Sequence[Month]:
    """Every month that has readings, here or elsewhere, oldest first."""
    rows = await session.execute(_LIST)
    return [Month(row.month, MonthState(row.state), row.bytes, row.archived_at) for row in rows]


async def detach_month(sessions: Sessions, month: date, *, now: datetime) -> Contents:
    """Take a month's readings out of use; nothing can be counted into it from here on.

    Raises `Conflict` while its readings may still change, `Unavailable` when others are in the way.
    """
    _check_settled(month, now)
    for _ in range(_DETACH_ATTEMPTS):
        for shard in await _unfolded_shards(sessions, month):
            await fold_shard(sessions, shard)
        async with _changing_months(sessions, month) as session:
            if await is_table(session, apart_of(month)):
                raise Conflict(f"{month:%Y-%m} is detached already.", code="MONTH_ARCHIVED")
            if not await is_table(session, partition_of(month)):
                raise not_here(month)
            # Whoever records into an old month shares the lock until they commit, so what the tail
            # does not hold now it never will.
            if not await _is_in_tail(session, month):
                return await _detach(session, month, now)
    raise Unavailable(
        f"Readings of {month:%Y-%m} keep coming in: try again.", code="MONTH_UNFOLDED"
    )


async def attach_month(sessions: Sessions, month: date) -> Contents:
    """Bring a detached or imported month back into use.

    Raises `Conflict` when it is not archived, not in this database, or not all of it is there.
    """
    async with _changing_months(sessions, month) as session:
        archived = await get_archived(session, month)
        apart, partition = apart_of(month), partition_of(month)
        if not await is_table(session, apart):
            raise Conflict(
                f"{month:%Y-%m} is not in this database: import it first.", code="MONTH_REMOVED"
            )
        contents = await checked_contents(session, month, archived)
        await session.execute(text(f"ALTER TABLE {apart} RENAME TO {partition}"))
        await session.execute(text(sampled(partition)))  # it may be from before that was so
        await session.execute(
            text(f"ALTER TABLE usage_chunks ATTACH PARTITION {partition} {bounds_of(month)}")
        )
        await session.delete(archived)
    return contents


def _check_settled(month: date, now: datetime) -> None:
    settled_at = datetime.combine(month_after(month), datetime.min.time(), UTC) + AGE_MAX
    if now < settled_at:
        raise Conflict(
            f"{month:%Y-%m} may still change: it can be detached from {settled_at:%Y-%m-%d} on,"
            f" {AGE_MAX.days} days after its end.",
            code="MONTH_OPEN",
        )


@asynccontextmanager
async def _changing_months(sessions: Sessions, month: date) -> AsyncIterator[AsyncSession]:
    try:
        async with sessions.begin() as session:
            await session.execute(_BOUNDED_WAIT)
            await lock_months(session)
            yield session
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) != _LOCK_NOT_AVAILABLE:
            raise
        raise Unavailable(
            f"Somebody is at the usage of {month:%Y-%m}, and nobody is made to wait: try again.",
            code="MONTH_BUSY",
        ) from error


async def _unfolded_shards(sessions: Sessions, month: date) -> Sequence[int]:
    shards = select(UsageTail.shard).where(UsageTail.month == month).distinct()
    async with sessions() as session:
        return (await session.scalars(shards)).all()


async def _is_in_tail(session: AsyncSession, month: date) -> bool:
    rows = select(UsageTail.id).where(UsageTail.month == month).limit(1)
    return await session.scalar(rows) is not None


async def _detach(session: AsyncSession, month: date, now: datetime) -> Contents:
    partition = partition_of(month)
    contents = await contents_of(session, partition)
    await session.execute(text(f"ALTER TABLE usage_chunks DETACH PARTITION {partition}"))
    await session.execute(text(f"ALTER TABLE {partition} RENAME TO {apart_of(month)}"))
    session.add(
        UsageArchivedMonth(
            month=month, archived_at=now, chunks=contents.chunks, readings=contents.readings
        )
    )
    return contents
