"""Series: every combination of a meter's dimensions is stored once, and known by a number."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from sqlalchemy import and_, select
from sqlalchemy.ext.asyncio import AsyncSession

from billing.ids import MeterId, OrgId, SeriesId
from billing.models import UsageSeries
from billing.usage.candidates import Candidate
from billing.usage.declared import Reading
from billing.usage.desk import Desk, KnownOrganization, SeriesKey
from billing.usage.fingerprints import dimensions_digest
from billing.usage.rows import as_given, given, insert_rows

StoredKey = tuple[OrgId, MeterId, bytes]

_KEY = ("org_id", "meter_id", "digest")
_COLUMNS = (*_KEY, "dimensions", "recorded_at")
_CREATE = insert_rows(UsageSeries, _COLUMNS).on_conflict_do_nothing()
_WANTED = given(UsageSeries, _KEY)
_FIND = select(UsageSeries.id, UsageSeries.org_id, UsageSeries.meter_id, UsageSeries.digest).join(
    _WANTED, and_(*(UsageSeries.__table__.c[name] == _WANTED.c[name] for name in _KEY))
)


async def series_of(
    session: AsyncSession, desk: Desk, counted: Iterable[Candidate], now: datetime
) -> tuple[list[SeriesId], dict[SeriesKey, SeriesId]]:
    """The series of every reading, in their order, and those of them that are news to the desk."""
    readings = [(one.organization, reading) for one in counted for reading in one.readings]
    keys = [(org.number, reading.feed.number, reading.dimensions) for org, reading in readings]
    known = desk.series
    ids = [known.get(key) for key in keys]
    unknown = {
        key: whose for key, found, whose in zip(keys, ids, readings, strict=True) if not found
    }
    news = await _found_or_created(session, unknown, now) if unknown else {}
    return [found or news[key] for key, found in zip(keys, ids, strict=True)], news


async def _found_or_created(
    session: AsyncSession,
    unknown: Mapping[SeriesKey, tuple[KnownOrganization, Reading]],
    now: datetime,
) -> dict[SeriesKey, SeriesId]:
    stored: dict[SeriesKey, StoredKey] = {}
    dimensions: dict[StoredKey, dict[str, str]] = {}
    for key, (org, reading) in unknown.items():
        named = reading.feed.named(reading.dimensions)
        stored[key] = (org.id, reading.feed.meter.id, dimensions_digest(named))
        dimensions[stored[key]] = named
    ids = await _find(session, dimensions)
    if new := sorted(dimensions.keys() - ids.keys()):
        rows = [(*key, dimensions[key], now) for key in new]
        await session.execute(_CREATE, as_given(_COLUMNS, rows))
        ids |= await _find(session, new)  # somebody else may have created some meanwhile
    return {key: ids[stored_key] for key, stored_key in stored.items()}


async def _find(session: AsyncSession, wanted: Iterable[StoredKey]) -> dict[StoredKey, SeriesId]:
    rows = await session.execute(_FIND, as_given(_KEY, wanted))
    return {(row.org_id, row.meter_id, row.digest): row.id for row in rows}
