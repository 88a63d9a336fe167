"""Rows in COPY's binary form, by the million: columns of one size each, made by numpy.

https://www.postgresql.org/docs/current/sql-copy.html has the form.
"""

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

import asyncpg
import numpy as np
from numpy.typing import DTypeLike, NDArray

Rows = NDArray[np.void]
Numbers = NDArray[np.integer]

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER = b"\xff\xff"
_BLOCK_ROWS = 200_000
"""About as many are made at a time: 10 MB of them."""


def microseconds(at: datetime) -> int:
    """An instant, as a column `>i8`."""
    return (at - _EPOCH) // timedelta(microseconds=1)


def layout(**columns: DTypeLike) -> np.dtype[np.void]:
    """A row: how many columns it has, then of each its length and itself."""
    fields: list[tuple[str, DTypeLike]] = [("columns", ">i2")]
    for name, kind in columns.items():
        fields += [(_length_of(name), ">i4"), (name, kind)]
    return np.dtype(fields)


def rows(of: np.dtype[np.void], count: int) -> Rows:
    """So many rows, their columns still zeros."""
    made = np.zeros(count, of)
    names = _columns_of(of)
    made["columns"] = len(names)
    for name in names:
        made[_length_of(name)] = of[name].itemsize
    return made


async def fetch(connection: asyncpg.Connection, query: str, of: np.dtype[np.void]) -> Rows:
    """What a query gives, no column of it null."""
    parts: list[bytes] = []

    async def take(part: bytes) -> None:
        parts.append(part)

    await connection.copy_from_query(query, output=take, format="binary")
    content = b"".join(parts)
    assert content.startswith(_HEADER), "the form of PostgreSQL 7.4 and after"
    return np.frombuffer(content[len(_HEADER) : -len(_TRAILER)], of)


async def replace(connection: asyncpg.Connection, table: str, batches: Iterable[Rows]) -> None:
    """Have just these rows in a table, as a vacuum would leave them."""
    schema, _, name = table.rpartition(".")
    async with connection.transaction():
        await connection.execute(f"TRUNCATE {table}")
        await connection.copy_to_table(
            name, schema_name=schema or None, source=_content(batches), format="binary", freeze=True
        )


async def _content(batches: Iterable[Rows]) -> AsyncIterator[bytes]:
    yield _HEADER
    for batch in batches:
        yield batch.tobytes()
    yield _TRAILER


def blocks(ordered: Numbers, times: int = 1) -> Iterator[slice]:
    """Cut what is in order where the number changes, for blocks of one size, each made `times`."""
    changes = np.flatnonzero(np.diff(ordered)) + 1
    wanted = np.arange(_BLOCK_ROWS // times, len(ordered), _BLOCK_ROWS // times)
    found = np.searchsorted(changes, wanted)
    cuts = np.unique(changes[found[found < len(changes)]])
    yield from map(slice, [0, *cuts], [*cuts, len(ordered)])


def _columns_of(of: np.dtype[np.void]) -> Sequence[str]:
    assert of.names, "it has columns"
    return of.names[2::2]


def _length_of(name: str) -> str:
    return f"length of {name}"
