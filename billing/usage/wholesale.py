"""The usual batch into the tables: two or three statements, its columns as texts.

Whatever only the database knows to be unusual rolls all of it back, to be recorded the careful way.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import date, datetime
from operator import itemgetter
from typing import TypeVar

from asyncpg.pgproto.pgproto import UUID  # made from bytes eight times faster than Python's own
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from billing.ids import SeriesId
from billing.models import Form
from billing.usage.columns import as_booleans, as_decimals, as_numbers, as_texts
from billing.usage.desk import STAMP, Learned, SeriesKey
from billing.usage.series import found_or_created
from billing.usage.sources import hear_of_sources
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
_APPEND = r"""
WITH kept AS (
    INSERT INTO usage_tail (shard, form, month, recorded_at, series_ids, instants, quantities,
                            labels, sources, external_ids)
    SELECT shard, form, month, $1, series_ids::bigint[], instants::bigint[], quantities::numeric[],
           string_to_array(labels, E'\x1f'), string_to_array(sources, E'\x1f'),
           string_to_array(external_ids, E'\x1f')
    FROM unnest($2::smallint[], $3::text[], $4::date[], $5::text[], $6::text[], $7::text[],
                $8::text[], $9::text[], $10::text[])
         AS each (shard, form, month, series_ids, instants, quantities, labels, sources,
                  external_ids)
)
SELECT (STAMP)
""".replace("STAMP", STAMP)


class Unusual(Exception):
    """Something in the batch is not as it should be: the transaction must be rolled back."""


async def record_wholesale(session: AsyncSession, batch: Batch, now: datetime) -> Learned:
    """Claim every identity, and append every reading.

    Raises `Unusual` when not all are new, or the meters are not those the batch was read by.
    """
    learned = Learned(heard_at=now)
    connection = await session.connection()
    await _claim(connection, batch.claims)
    learned.series = await found_or_created(session, batch.unknown_series, now)
    rows = [
        row
        for form, readings in batch.readings.items()
        for row in _packed(form, readings, learned.series)
    ]
    columns = (now, *map(list, zip(*rows, strict=True)))
    if (await connection.exec_driver_sql(_APPEND, columns)).scalar_one() != batch.stamp:
        raise Unusual
    learned.heard = await hear_of_sources(session, batch.heard, now)
    return learned


async def _claim(connection: AsyncConnection, claims: Claims) -> None:
    """All or nothing."""
    rows = sorted(
        zip(claims.keys, claims.fingerprints, claims.instants, claims.are_times_given, strict=True)
    )
    keys, fingerprints, instants, are_times_given = zip(*rows, strict=True)
    columns = (
        [UUID(key) for key in keys],
        as_numbers(fingerprints),
        as_numbers(instants),
        as_booleans(are_times_given),
    )
    if (await connection.exec_driver_sql(_CLAIM, columns)).rowcount < len(rows):
        raise Unusual


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
