"""A month's table: what it is called while it is archived, and how much it holds."""

from dataclasses import dataclass
from datetime import UTC, date, datetime

from sqlalchemy import column, func, select, table
from sqlalchemy.ext.asyncio import AsyncSession

from billing.errors import Conflict, Invalid, NotFound
from billing.models import UsageArchivedMonth


@dataclass(frozen=True, slots=True)
class Contents:
    """How much a month holds; what comes back must hold as much as was taken away."""

    chunks: int
    readings: int


def apart_of(month: date) -> str:
    """The name of a month's table while it is not a partition."""
    return f"usage_archive_{month:%Y_%m}"


def not_here(month: date) -> NotFound:
    """The refusal for a month that never was."""
    return NotFound(f"There are no readings of {month:%Y-%m} here.", code="MONTH_NOT_FOUND")


async def get_archived(session: AsyncSession, month: date) -> UsageArchivedMonth:
    """The month's row, locked. Raises `Conflict` when it is not archived."""
    archived = await session.get(UsageArchivedMonth, month, with_for_update=True)
    if archived is None:
        raise Conflict(f"{month:%Y-%m} is not archived.", code="MONTH_NOT_ARCHIVED")
    return archived


async def contents_of(session: AsyncSession, name: str) -> Contents:
    """What a table of chunks holds."""
    readings = func.coalesce(func.sum(func.cardinality(column("series_ids"))), 0)
    counts = select(func.count(), readings).select_from(table(name))
    return Contents(*(await session.execute(counts)).one())


async def checked_contents(
    session: AsyncSession, month: date, archived: UsageArchivedMonth
) -> Contents:
    """What a month's table apart holds; raises `Invalid` unless it is what was detached."""
    apart = apart_of(month)
    wanted = Contents(archived.chunks, archived.readings)
    contents = await contents_of(session, apart)
    start = datetime.combine(month, datetime.min.time(), UTC)
    is_stray = func.date_trunc("month", column("hour"), "UTC") != start
    strays = select(func.count()).select_from(table(apart)).where(is_stray)
    if contents != wanted or await session.scalar(strays):
        raise Invalid(
            f"This is not what {month:%Y-%m} held when it was detached: {wanted.readings:,}"
            f" readings in {wanted.chunks:,} chunks, all of that month.",
            code="MONTH_DIFFERS",
        )
    return contents
