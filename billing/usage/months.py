"""Months: buckets and chunks have a partition for each UTC month, made when first needed.

What is counted now then touches the indexes of this month alone, which stay small and warm. The
chunks of a month can be archived (`archive.py`). Until they are attached again nothing may be
counted into it, so whoever could count into a month that old holds the lock of the months while
they do.
"""

from collections.abc import Collection, Iterator
from datetime import date, datetime, timedelta

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from billing.models import UsageArchivedMonth, UsageChunk, UsageTail
from billing.runtime import Sessions
from billing.usage.intake import AGE_MAX

SAFE_AGE = AGE_MAX - timedelta(days=1)
"""A day less, for clocks that differ and requests that last: no younger event can be archived."""

_SETTINGS = {"usage_chunks": "", "usage_buckets": " WITH (fillfactor = 90)"}
"""Of the partitions of each table: buckets are updated in place, in what is left of their page."""

_MISSING = text("""
SELECT name FROM unnest(CAST(:names AS text[])) AS name WHERE to_regclass(name) IS NULL
""")
_LOCK = text("SELECT pg_advisory_xact_lock(hashtext('usage months'))")
_SHARE = text("SELECT pg_advisory_xact_lock_shared(hashtext('usage months'))")


def partition_of(month: date, table: str = "usage_chunks") -> str:
    """The name of the partition that has a month's chunks, or its part of another table."""
    return f"{table}_{month:%Y_%m}"


def month_of(at: datetime) -> date:
    """The first day of the UTC month that an instant, given in UTC, is in."""
    return date(at.year, at.month, 1)


def month_after(month: date) -> date:
    """The first day of the next month."""
    return date(month.year + month.month // 12, month.month % 12 + 1, 1)


def may_be_archived(occurred_at: datetime, now: datetime) -> bool:
    """Whether an event is so old that its month could be archived, now or any moment."""
    return now - occurred_at > SAFE_AGE


async def archived_months(session: AsyncSession, *, by: datetime | None = None) -> frozenset[date]:
    """The months nothing may be counted into; no other becomes one until the transaction ends.

    Given `by`, only those that had been archived by then.
    """
    await keep_months(session)
    # A statement of its own, after the wait: it sees what that waited for.
    statement = select(UsageArchivedMonth.month)
    if by is not None:
        statement = statement.where(UsageArchivedMonth.archived_at <= by)
    return frozenset(await session.scalars(statement))


async def keep_months(session: AsyncSession) -> None:
    """Have the months stay as they are until the transaction ends; waits for who changes them."""
    await session.execute(_SHARE)


async def lock_months(session: AsyncSession) -> None:
    """Change which months there are; waits for whoever counts into old ones."""
    await session.execute(_LOCK)


async def months_in_tail(sessions: Sessions, shard: int) -> Collection[date]:
    """Which months a shard's unfolded readings belong to: hardly ever more than two.

    Not the archived: they can have none, and if they had, everybody else's would still be folded.
    """
    months = select(UsageTail.month).where(
        UsageTail.shard == shard, UsageTail.month.not_in(select(UsageArchivedMonth.month))
    )
    async with sessions() as session:
        return (await session.scalars(months.distinct())).all()


async def make_partitions(sessions: Sessions, months: Collection[date]) -> None:
    """Make what is not there yet, in a transaction of its own; nobody who reads waits for it.

    Never for an archived month: what was detached would find its place taken.
    """
    names = {partition_of(month, table): (table, month) for month in months for table in _SETTINGS}
    async with sessions() as session:
        missing = (await session.scalars(_MISSING, {"names": sorted(names)})).all()
    if not missing:
        return
    async with sessions.begin() as session:
        await lock_months(session)
        archived = frozenset(await session.scalars(select(UsageArchivedMonth.month)))
        # Another process may have been first.
        for name in (await session.scalars(_MISSING, {"names": missing})).all():
            table, month = names[name]
            if month not in archived:
                # A partition that is created as one locks out every reader.
                for statement in creation_apart(name, table):
                    await session.execute(text(statement))
                attach = f"ALTER TABLE {table} ATTACH PARTITION {name} {bounds_of(month)}"
                await session.execute(text(attach))


async def is_table(session: AsyncSession, name: str) -> bool:
    """Whether there is a table of this name."""
    return await session.scalar(text("SELECT to_regclass(:name)"), {"name": name}) is not None


def bounds_of(month: date) -> str:
    """What a partition of this month holds, in SQL."""
    return f"FOR VALUES FROM ('{month} 00:00:00+00') TO ('{month_after(month)} 00:00:00+00')"


def creation_apart(name: str, table: str = "usage_chunks") -> Iterator[str]:
    """Statements that make what can be attached as a partition."""
    # Not the identity of ids: that belongs to the table it will be attached to.
    like = f"LIKE {table} INCLUDING ALL EXCLUDING IDENTITY"
    yield f"CREATE TABLE {name} ({like}){_SETTINGS[table]}"
    if table == "usage_chunks":
        yield sampled(name)


def sampled(name: str) -> str:
    """A statement that keeps ANALYZE from unpacking more than 300 chunks of a new table.

    PostgreSQL carries over how a column is stored, but not this. So many tell how many readings a
    chunk has, which is all that plans are made by.
    """
    columns = UsageChunk.__table__.columns.keys()
    return f"ALTER TABLE {name} " + ", ".join(f"ALTER {one} SET STATISTICS 1" for one in columns)
