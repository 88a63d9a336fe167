"""An archived month as a file: PostgreSQL's binary COPY of its chunks, out and in again."""

from datetime import date
from typing import Any, Protocol

import asyncpg
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from billing.errors import Conflict, Invalid
from billing.models import UsageChunk
from billing.runtime import Sessions
from billing.usage.month_tables import (
    Contents,
    apart_of,
    checked_contents,
    contents_of,
    get_archived,
    not_here,
)
from billing.usage.months import creation_apart, is_table, partition_of

_IN_ORDER = text("SET LOCAL synchronize_seqscans = off")
"""Two exports of the same table are the same bytes."""


class Target(Protocol):
    """Something that is written to as a binary file is."""

    def write(self, part: bytes, /) -> object:
        """Take all of it."""


class Source(Protocol):
    """Something that is read from as a binary file is."""

    def read(self, size: int, /) -> bytes:
        """At most so many; none at the end."""


async def export_month(sessions: Sessions, month: date, file: Target) -> Contents:
    """Write a month's readings, attached or detached, in PostgreSQL's binary COPY format."""
    async with sessions() as session:
        await session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
        for name in (partition_of(month), apart_of(month)):
            if await is_table(session, name):
                await _copy_out(session, name, file)
                return await contents_of(session, name)
    raise not_here(month)


async def import_month(sessions: Sessions, month: date, file: Source) -> Contents:
    """Read an exported month into a table apart, which `attach_month` brings into use.

    Raises `Invalid` for a file that is no whole export of this month, and leaves nothing then.
    """
    apart = apart_of(month)
    async with sessions.begin() as session:
        archived = await get_archived(session, month)
        if await is_table(session, apart):
            raise Conflict(f"{month:%Y-%m} is in this database.", code="MONTH_PRESENT")
        for statement in creation_apart(apart):
            await session.execute(text(statement))
        try:
            await (await _driver(session)).copy_to_table(
                apart, source=file, columns=_columns(), format="binary"
            )
        except asyncpg.DataError as error:
            message = f"The file is no export of a month: {error}."
            raise Invalid(message, code="NOT_AN_EXPORT") from error
        return await checked_contents(session, month, archived)


async def remove_month(sessions: Sessions, month: date, file: Source) -> Contents:
    """Drop a detached month's table, when `file` holds every byte of what it would export."""
    apart = apart_of(month)
    async with sessions.begin() as session:
        await get_archived(session, month)
        if not await is_table(session, apart):
            raise Conflict(f"{month:%Y-%m} is removed already.", code="MONTH_REMOVED")
        comparison = _Comparison(file)
        await _copy_out(session, apart, comparison)
        if not comparison.is_same:
            raise Conflict(
                f"The file is not what {month:%Y-%m} holds: nothing was removed.",
                code="EXPORT_DIFFERS",
            )
        contents = await contents_of(session, apart)
        await session.execute(text(f"DROP TABLE {apart}"))
    return contents


class _Comparison:
    """Written to as a file is, and compares."""

    def __init__(self, file: Source) -> None:
        self._file = file
        self._differs = False

    def write(self, part: bytes) -> None:
        self._differs |= self._file.read(len(part)) != part

    @property
    def is_same(self) -> bool:
        return not self._differs and not self._file.read(1)


async def _copy_out(session: AsyncSession, table: str, file: Target) -> None:
    await session.execute(_IN_ORDER)
    driver = await _driver(session)
    await driver.copy_from_table(table, output=file, columns=_columns(), format="binary")


async def _driver(session: AsyncSession) -> Any:  # noqa: ANN401 - asyncpg has no types
    """asyncpg's own connection, inside the session's transaction: SQLAlchemy has no COPY."""
    raw = await (await session.connection()).get_raw_connection()
    return raw.driver_connection


def _columns() -> list[str]:
    return list(UsageChunk.__table__.columns.keys())
