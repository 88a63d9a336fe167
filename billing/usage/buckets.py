"""Hourly buckets: what the accepted events of a batch add to each series in each hour."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnCollection, Tuple, and_, case, func, select, tuple_
from sqlalchemy.dialects.postgresql import Insert
from sqlalchemy.ext.asyncio import AsyncSession

from billing.ids import MeterId, OrgId, SeriesId, new_id
from billing.models import UsageBucket, UsageSeries
from billing.rules.periods import floor_hour
from billing.rules.quantities import EXACT
from billing.usage.candidates import Candidate
from billing.usage.fingerprints import dimensions_digest
from billing.usage.rows import as_given, given, insert_rows

SeriesKey = tuple[OrgId, MeterId, bytes]

_SERIES_KEY = ("org_id", "meter_id", "digest")
_SERIES = ("id", *_SERIES_KEY, "dimensions", "recorded_at")
_LAST = ("last_value", "last_at", "last_source", "last_external_id")
_BUCKET = ("series_id", "hour", "org_id", "meter_id", "event_count", "total", "highest", *_LAST)

_CREATE_SERIES = insert_rows(UsageSeries, _SERIES).on_conflict_do_nothing()
_WANTED = given(UsageSeries, _SERIES_KEY)
_FIND_SERIES = select(
    UsageSeries.id, UsageSeries.org_id, UsageSeries.meter_id, UsageSeries.digest
).join(_WANTED, and_(*(UsageSeries.__table__.c[name] == _WANTED.c[name] for name in _SERIES_KEY)))


def _addition() -> Insert:
    statement = insert_rows(UsageBucket, _BUCKET)
    held, more = UsageBucket.__table__.c, statement.excluded
    is_later = _order(more) > _order(held)
    return statement.on_conflict_do_update(
        index_elements=["series_id", "hour"],
        set_={
            "event_count": held.event_count + more.event_count,
            "total": held.total + more.total,
            "highest": func.greatest(held.highest, more.highest),
            **{name: case((is_later, more[name]), else_=held[name]) for name in _LAST},
        },
    )


def _order(columns: ColumnCollection[str, Any]) -> Tuple:
    """By code point whatever the database's own order, as `Tally` compares."""
    return tuple_(
        columns.last_at, columns.last_source.collate("C"), columns.last_external_id.collate("C")
    )


_ADD = _addition()


@dataclass(slots=True)
class Tally:
    """What one batch adds to one bucket. `last` is (time, source, id): never the arrival."""

    last: tuple[datetime, str, str]
    last_value: Decimal = Decimal(0)
    count: int = 0
    total: Decimal = Decimal(0)
    highest: Decimal = Decimal(0)

    def add(self, value: Decimal, at: tuple[datetime, str, str]) -> None:
        """One more event; values are never negative."""
        self.count += 1
        self.total = EXACT.add(self.total, value)
        self.highest = max(self.highest, value)
        if at >= self.last:
            self.last, self.last_value = at, value


async def add_to_buckets(
    session: AsyncSession, counted: Iterable[Candidate], now: datetime
) -> None:
    """Add a batch to its series' hours, creating what is not there yet."""
    tallies, dimensions = _tally(counted)
    series_ids = await _series_ids(session, dimensions, now)
    rows = sorted(
        (
            series_ids[key],
            hour,
            *key[:2],
            tally.count,
            tally.total,
            tally.highest,
            tally.last_value,
            *tally.last,
        )
        for (key, hour), tally in tallies.items()
    )
    await session.execute(_ADD, as_given(_BUCKET, rows))


def _tally(
    counted: Iterable[Candidate],
) -> tuple[dict[tuple[SeriesKey, datetime], Tally], dict[SeriesKey, Mapping[str, str]]]:
    """The batch by series and hour, and the dimensions of each series in it."""
    tallies: dict[tuple[SeriesKey, datetime], Tally] = {}
    dimensions: dict[SeriesKey, Mapping[str, str]] = {}
    for candidate in counted:
        at = (candidate.occurred_at, candidate.event.source, candidate.event.id)
        hour = floor_hour(candidate.occurred_at)
        for reading in candidate.readings:
            digest = dimensions_digest(reading.dimensions)
            key = (candidate.org_id, reading.meter.id, digest)
            dimensions[key] = reading.dimensions
            tallies.setdefault((key, hour), Tally(at)).add(reading.value, at)
    return tallies, dimensions


async def _series_ids(
    session: AsyncSession, dimensions: Mapping[SeriesKey, Mapping[str, str]], now: datetime
) -> dict[SeriesKey, SeriesId]:
    """Almost always all are there; those that are not may be created by somebody else meanwhile."""
    ids = await _find_series(session, dimensions)
    if new := sorted(dimensions.keys() - ids.keys()):
        rows = [(new_id(), *key, dimensions[key], now) for key in new]
        await session.execute(_CREATE_SERIES, as_given(_SERIES, rows))
        ids |= await _find_series(session, new)
    return ids


async def _find_series(
    session: AsyncSession, wanted: Iterable[SeriesKey]
) -> dict[SeriesKey, SeriesId]:
    rows = await session.execute(_FIND_SERIES, as_given(_SERIES_KEY, wanted))
    return {(row.org_id, row.meter_id, row.digest): row.id for row in rows}
