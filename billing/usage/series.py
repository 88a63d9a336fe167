"""Series: every combination of a meter's dimensions is stored once, and known by a number."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from billing.ids import MeterId, OrgId, SeriesId
from billing.models import UsageSeries
from billing.usage.candidates import Candidate
from billing.usage.declared import Feed
from billing.usage.desk import Desk, KnownOrganization, SeriesKey, series_key
from billing.usage.fingerprints import dimensions_digest
from billing.usage.rows import as_given, insert_rows

_COLUMNS = ("org_id", "meter_id", "digest", "dimensions", "recorded_at")
_CREATE = insert_rows(UsageSeries, _COLUMNS).on_conflict_do_nothing()
_FIND = """
SELECT wanted.place - 1 AS place, series.id
FROM unnest($1::uuid[], $2::uuid[], $3::bytea[]) WITH ORDINALITY
     AS wanted (org_id, meter_id, digest, place)
JOIN usage_series AS series USING (org_id, meter_id, digest)
"""


UnknownSeries = tuple[KnownOrganization, Feed, Sequence[str | None]]
"""One this process has not met: whose it is, what feeds it, and its dimensions."""


class Described(msgspec.Struct, frozen=True, gc=False):
    """A series as it is stored: what finds it, and its dimensions by name."""

    org_id: OrgId
    meter_id: MeterId
    digest: bytes
    dimensions: dict[str, str]


async def series_of(
    session: AsyncSession, desk: Desk, counted: Iterable[Candidate], now: datetime
) -> tuple[list[SeriesId], dict[SeriesKey, SeriesId]]:
    """The series of every reading, in their order, and those of them that are news to the desk."""
    readings = [(one.organization, reading) for one in counted for reading in one.readings]
    keys = [
        series_key(org.number, reading.feed.number, reading.dimensions) for org, reading in readings
    ]
    ids = [desk.index.series_of(key) for key in keys]
    unknown = {
        key: (org, reading.feed, reading.dimensions)
        for key, found, (org, reading) in zip(keys, ids, readings, strict=True)
        if not found
    }
    news = await found_or_created(session, unknown, now)
    return [SeriesId(found or news[key]) for key, found in zip(keys, ids, strict=True)], news


async def found_or_created(
    session: AsyncSession,
    unknown: Mapping[SeriesKey, UnknownSeries],
    now: datetime,
) -> dict[SeriesKey, SeriesId]:
    """What the desk does not know."""
    if not unknown:
        return {}
    wanted = [_described(*one) for one in unknown.values()]
    ids = await _find(session, wanted)
    if len(ids) < len(wanted):
        new = [one for place, one in enumerate(wanted) if place not in ids]
        await _create(session, new, now)
        ids = await _find(session, wanted)  # somebody else may have created some meanwhile
    return {key: ids[place] for place, key in enumerate(unknown)}


def _described(org: KnownOrganization, feed: Feed, dimensions: Sequence[str | None]) -> Described:
    named = feed.named(dimensions)
    return Described(org.id, feed.meter.id, dimensions_digest(named), named)


async def _create(session: AsyncSession, new: Iterable[Described], now: datetime) -> None:
    """In one order, so that batches at once wait for each other but never in a circle."""
    ordered = sorted(new, key=lambda one: (one.org_id, one.meter_id, one.digest))
    rows = [(one.org_id, one.meter_id, one.digest, one.dimensions, now) for one in ordered]
    await session.execute(_CREATE, as_given(_COLUMNS, rows))


async def _find(session: AsyncSession, wanted: Sequence[Described]) -> dict[int, SeriesId]:
    """By place: a row is two numbers, for there may be thousands."""
    connection = await session.connection()
    columns = (
        [one.org_id for one in wanted],
        [one.meter_id for one in wanted],
        [one.digest for one in wanted],
    )
    return {row.place: row.id for row in await connection.exec_driver_sql(_FIND, columns)}
