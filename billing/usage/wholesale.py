"""The usual batch into the tables: two or three statements, its columns as texts.

Whatever only the database knows to be unusual rolls all of it back, to be recorded the careful way.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import date, datetime
from operator import itemgetter
from typing import TypeVar

from asyncpg.pgproto.pgproto import UUID  # made from bytes eight times faster than Python's own
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from billing.ids import SeriesId
from billing.models import Form
from billing.usage.columns import as_booleans, as_decimals, as_numbers, as_texts
from billing.usage.desk import STAMP, Learned, SeriesKey
from billing.usage.series import found_or_created
from billing.usage.sources import columns_of, hear_of_sources, hear_statement, news_of
from billing.usage.usual import Batch, Claims, Readings

T = TypeVar("T")

# Sorted by key, so that batches at once wait for each other but never in a circle. How many rows
# were new the command's tag says, which costs less than a row for each.
_CLAIM = """
INSERT INTO usage_identities (key, fingerprint, occurred_at, is_time_given)
SELECT key, fingerprint, timestamptz 'epoch' + instant * interval '1 microsecond', is_time_given
FROM unnest($1::uuid[], $2::text::bigint[], $3::text::bigint[], $4::text::boolean[])
     AS each (key, fingerprint, instant, is_time_given)
ON CONFLICT DO NOTHING
"""


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
    {_CLAIM.replace("ON CONFLICT", "WHERE (SELECT is_so FROM usual) ON CONFLICT")}
    RETURNING 1
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
"""Events: of more, looking whether all are new before claiming them costs more than waiting."""


class Unusual(Exception):
    """Something in the batch is not as it should be: the transaction must be rolled back."""


def fits_at_once(batch: Batch) -> bool:
    """Whether one statement can record it: few events, and nothing to be looked up or created."""
    return not batch.unknown_series and len(batch.claims.keys) <= AT_ONCE_MAX


async def record_at_once(engine: AsyncEngine, batch: Batch, now: datetime) -> Learned:
    """Record a batch that fits, durably when this returns. Raises `Unusual`, as below."""
    learned = Learned(heard_at=now, heard=news_of(batch.heard, now))
    arguments = (
        *_claim_columns(batch.claims),
        *_reading_columns(batch, {}, now),
        batch.stamp,
        len(batch.claims.keys),
        *columns_of(learned.heard),
        now,
    )
    async with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        try:
            row = (await connection.exec_driver_sql(_AT_ONCE, arguments)).one()
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) == _LOST_A_RACE:
                raise Unusual from None
            raise
    if not row.is_so:
        raise Unusual
    return learned


async def record_wholesale(session: AsyncSession, batch: Batch, now: datetime) -> Learned:
    """Claim every identity, and append every reading.

    Raises `Unusual` when not all are new, or the meters are not those the batch was read by.
    """
    learned = Learned(heard_at=now)
    connection = await session.connection()
    claims = _claim_columns(batch.claims)
    if (await connection.exec_driver_sql(_CLAIM, claims)).rowcount < len(batch.claims.keys):
        raise Unusual
    learned.series = await found_or_created(session, batch.unknown_series, now)
    columns = _reading_columns(batch, learned.series, now)
    if (await connection.exec_driver_sql(_APPEND, columns)).scalar_one() != batch.stamp:
        raise Unusual
    learned.heard = await hear_of_sources(session, batch.heard, now)
    return learned


def _claim_columns(claims: Claims) -> tuple[object, ...]:
    rows = sorted(
        zip(claims.keys, claims.fingerprints, claims.instants, claims.are_times_given, strict=True)
    )
    keys, fingerprints, instants, are_times_given = zip(*rows, strict=True)
    return (
        [UUID(key) for key in keys],
        as_numbers(fingerprints),
        as_numbers(instants),
        as_booleans(are_times_given),
    )


def _reading_columns(
    batch: Batch, news: dict[SeriesKey, SeriesId], now: datetime
) -> tuple[object, ...]:
    rows = [
        row for form, readings in batch.readings.items() for row in _packed(form, readings, news)
    ]
    return (now, *map(list, zip(*rows, strict=True)))


Row = tuple[int, str, date, str, str, str, str | None, str, str]
"""(shard, form, month) and six columns, each as one text."""


def _packed(form: Form, readings: Readings, news: dict[SeriesKey, SeriesId]) -> list[Row]:
    ids = [
        found or news[key]
        for key, found in zip(readings.series_keys, readings.series_ids, strict=True)
    ]
    rows: list[Row] = []
    for (shard, month), places in _places(readings).items():
        pick = _picker(places)
        rows.append(
            (
                shard,
                form.value,
                month,
                as_numbers(pick(ids)),
                as_numbers(pick(readings.instants)),
                as_decimals(pick(readings.quantities)),
                as_texts(pick(readings.labels)) if readings.labels else None,
                as_texts(pick(readings.sources)),
                as_texts(pick(readings.external_ids)),
            )
        )
    return rows


def _places(readings: Readings) -> dict[tuple[int, date], list[int]]:
    """Which readings go into which row: nearly always all of them are of one month."""
    first, last = min(readings.times), max(readings.times)
    if (first.year, first.month) == (last.year, last.month):
        by_shard: dict[int, list[int]] = defaultdict(list)
        for place, shard in enumerate(readings.shards):
            by_shard[shard].append(place)
        month = date(first.year, first.month, 1)
        return {(shard, month): places for shard, places in by_shard.items()}
    found: dict[tuple[int, date], list[int]] = defaultdict(list)
    for place, (shard, time) in enumerate(zip(readings.shards, readings.times, strict=True)):
        found[shard, date(time.year, time.month, 1)].append(place)
    return found


def _picker(places: list[int]) -> Callable[[Sequence[T]], Sequence[T]]:
    """Picks the items at these places."""
    if len(places) > 1:
        return itemgetter(*places)
    [place] = places
    return lambda items: [items[place]]
