"""Identities: the database decides who was first, also between requests at once."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from asyncpg.pgproto.pgproto import UUID  # made from bytes eight times faster than Python's own
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.usage.candidates import BEFORE, Candidate, Holder


class Identity(Protocol):
    """A row of `usage_identities` as it is read."""

    key: UUID
    fingerprint: int
    occurred_at: datetime
    is_time_given: bool


# Sorted by key, so that batches at once wait for each other but never in a circle. What was won is
# said only where something was lost: nearly always everything is new, and a thousand keys are not
# sent back to say so.
_CLAIM = """
WITH won AS (
    INSERT INTO usage_identities (key, fingerprint, occurred_at, is_time_given)
    SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::timestamptz[], $4::boolean[])
    ON CONFLICT DO NOTHING
    RETURNING key
)
SELECT CASE WHEN count(*) < cardinality($1::uuid[])
            THEN coalesce(array_agg(key), '{}') END AS won_only
FROM won
"""
_FIND = """
SELECT key, fingerprint, occurred_at, is_time_given
FROM usage_identities WHERE key = ANY ($1::uuid[])
"""


async def claim(
    connection: AsyncConnection, candidates: Sequence[Candidate]
) -> Mapping[bytes, Holder | Candidate]:
    """Who holds each identity of the batch: the first candidate for it, unless it was taken.

    An insert waits for another transaction that is inserting the same identity, so that of two
    requests at once exactly one wins. Where nobody is counted the identity stays free.
    """
    first: dict[bytes, Candidate] = {}
    for candidate in candidates:
        if candidate.refusal is None:
            first.setdefault(candidate.key, candidate)
    won = await _insert(connection, [first[key] for key in sorted(first)])
    if won is None and len(first) == len(candidates):
        return first
    in_batch = first if won is None else {key: first[key] for key in won}
    elsewhere = {candidate.key for candidate in candidates} - in_batch.keys()
    return {**in_batch, **await _stored(connection, elsewhere)}


async def _insert(
    connection: AsyncConnection, candidates: Sequence[Candidate]
) -> set[bytes] | None:
    """Which keys were won; None for all of them."""
    if not candidates:
        return None
    columns = (
        [UUID(one.key) for one in candidates],
        [one.fingerprint for one in candidates],
        [one.occurred_at for one in candidates],
        [one.event.time is not None for one in candidates],
    )
    won_only = (await connection.exec_driver_sql(_CLAIM, columns)).scalar_one()
    return None if won_only is None else {key.bytes for key in won_only}


async def _stored(connection: AsyncConnection, keys: Collection[bytes]) -> dict[bytes, Holder]:
    """A statement of its own, after the insert: it sees whatever that one had to wait for."""
    if not keys:
        return {}
    wanted = [UUID(key) for key in sorted(keys)]
    rows = await connection.exec_driver_sql(_FIND, (wanted,))
    return {
        row.key.bytes: Holder(
            BEFORE, row.fingerprint, row.occurred_at if row.is_time_given else None
        )
        for row in rows
    }
