"""The usual batch into the tables, its columns as texts or as COPY has them.

Whatever only the database knows to be unusual rolls all of it back, to be recorded the careful way.
"""

from datetime import datetime
from io import BytesIO

from asyncpg import InterfaceError, UniqueViolationError
from asyncpg.pgproto.pgproto import UUID  # made from bytes eight times faster than Python's own
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from billing.runtime import Runtime
from billing.usage.desk import STAMP
from billing.usage.scanning import Batch
from billing.usage.sources import HEAR, columns_of, hear_statement

_CLAIM = """
INSERT INTO usage_identities (key, fingerprint, occurred_at, is_time_given)
SELECT key, fingerprint, timestamptz 'epoch' + instant * interval '1 microsecond', is_time_given
FROM unnest($1::uuid[], $2::text::bigint[], $3::text::bigint[], $4::text::boolean[])
     AS each (key, fingerprint, instant, is_time_given)
WHERE (SELECT is_so FROM usual) ON CONFLICT DO NOTHING RETURNING 1
"""
_CLAIMED_COLUMNS = ("key", "fingerprint", "occurred_at", "is_time_given")


def _append(first: int) -> str:
    """The statement that keeps readings, its parameters counted from here."""
    at, *columns = (f"${first + place}" for place in range(10))
    types = ("smallint", "text", "date", *["text"] * 6)
    arrays = ", ".join(f"{one}::{type_}[]" for one, type_ in zip(columns, types, strict=True))
    return rf"""
    INSERT INTO usage_tail (shard, form, month, recorded_at, series_ids, instants, quantities,
                            labels, sources, external_ids)
    SELECT shard, form, month, {at}::timestamptz, series_ids::bigint[], instants::bigint[],
           quantities::numeric[], string_to_array(labels, E'\x1f'),
           string_to_array(sources, E'\x1f'), string_to_array(external_ids, E'\x1f')
    FROM unnest({arrays})
         AS each (shard, form, month, series_ids, instants, quantities, labels, sources,
                  external_ids)
    """  # noqa: S608 - of constants alone


_APPEND = f"WITH kept AS ({_append(1)}) SELECT ({STAMP})"

# All of it in one statement, which is its own transaction: one wait for the database, not five.
# A batch that is not new, or was read by other meters, is left without an error; a race with
# another batch for an identity fails the statement. So all of it is recorded, or nothing.
_AT_ONCE = f"""
WITH usual AS MATERIALIZED (
    SELECT ({STAMP}) = $15::text
       AND NOT EXISTS (SELECT FROM usage_identities WHERE key = ANY ($1::uuid[])) AS is_so
), claimed AS (
    {_CLAIM}
), kept AS (
    {_append(5)} WHERE (SELECT is_so FROM usual)
), heard AS (
    {hear_statement(17, "(SELECT is_so FROM usual)")}
)
SELECT is_so, 1 / CASE WHEN NOT is_so OR (SELECT count(*) FROM claimed) = $16 THEN 1 ELSE 0 END
FROM usual
"""  # noqa: S608 - of constants alone
_LOST_A_RACE = "22012"
"""SQL has no other way to fail than to divide by zero."""

AT_ONCE_MAX = 200
"""Events: of more, a COPY of their identities saves more than its round trips cost."""


class Unusual(Exception):
    """Something in the batch is not as it should be: nothing of it is recorded."""


async def record_usual(runtime: Runtime, batch: Batch, stamp: object, now: datetime) -> None:
    """Claim every identity, and append every reading; durably when this returns.

    Raises `Unusual` when not all are new, or the meters are no longer those of this stamp.
    """
    if len(batch) <= AT_ONCE_MAX:
        await _record_at_once(runtime.autocommit, batch, stamp, now)
    else:
        await _record_copied(runtime.engine, batch, stamp, now)


async def _record_at_once(engine: AsyncEngine, batch: Batch, stamp: object, now: datetime) -> None:
    keys, fingerprints, instants, are_times_given = batch.claims_as_columns()
    arguments = (
        [UUID(key) for key in keys],
        fingerprints,
        instants,
        are_times_given,
        *_reading_columns(batch, now),
        stamp,
        len(batch),
        *columns_of(batch.heard),
        now,
    )
    async with engine.connect() as connection:
        try:
            row = (await connection.exec_driver_sql(_AT_ONCE, arguments)).one()
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) == _LOST_A_RACE:
                raise Unusual from None
            raise
    if not row.is_so:
        raise Unusual


async def _record_copied(engine: AsyncEngine, batch: Batch, stamp: object, now: datetime) -> None:
    async with engine.begin() as connection:
        columns = _reading_columns(batch, now)
        if (await connection.exec_driver_sql(_APPEND, columns)).scalar_one() != stamp:
            raise Unusual
        await _copy_claims(connection, batch)
        if batch.heard:
            await connection.exec_driver_sql(HEAR, (*columns_of(batch.heard), now))


async def _copy_claims(connection: AsyncConnection, batch: Batch) -> None:
    """Within the transaction, as the driver does it: SQLAlchemy has no COPY.

    Sorted by key, so that batches at once wait for each other but never in a circle.
    """
    driver = (await connection.get_raw_connection()).driver_connection
    assert driver, "connected"
    try:
        await driver.copy_to_table(
            "usage_identities",
            source=BytesIO(batch.claims_to_copy()),
            columns=_CLAIMED_COLUMNS,
            format="binary",
        )
    except UniqueViolationError:
        raise Unusual from None
    except InterfaceError as error:
        raise ConnectionError("The connection to the database was lost.") from error


def _reading_columns(batch: Batch, now: datetime) -> tuple[object, ...]:
    return (now, *map(list, zip(*batch.tail_rows(), strict=True)))
