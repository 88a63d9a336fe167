"""The tail: readings acknowledged and not folded yet, packed so that a batch is a few rows.

A row a reading would cost more than all the rest of recording does (docs/decisions/0007).
"""

from collections.abc import Iterable
from datetime import date, datetime

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.ids import SeriesId
from billing.models import Form
from billing.usage.candidates import Candidate
from billing.usage.columns import microseconds_of

_APPEND = """
INSERT INTO usage_tail (shard, form, month, recorded_at, series_ids, instants, quantities,
                        labels, sources, external_ids)
VALUES ($1, $2, $3, $4, $5, $6, ($7::text[])::numeric[], $8, $9, $10)
"""


class Pack(msgspec.Struct):
    """Readings of one shard, form and month, as arrays side by side."""

    series_ids: list[SeriesId] = msgspec.field(default_factory=list)
    instants: list[int] = msgspec.field(default_factory=list)
    quantities: list[str] = msgspec.field(default_factory=list)
    labels: list[str] = msgspec.field(default_factory=list)
    sources: list[str] = msgspec.field(default_factory=list)
    external_ids: list[str] = msgspec.field(default_factory=list)


PackKey = tuple[int, Form, int, int]
"""(shard, form, year, month)."""


async def append_to_tail(
    connection: AsyncConnection,
    counted: Iterable[Candidate],
    series_ids: Iterable[SeriesId],
    now: datetime,
) -> None:
    """Keep every reading of these events, given their series in the same order.

    They are in the next estimate when this commits.
    """
    packs = _packed(counted, series_ids)
    rows = [
        (
            shard,
            form.value,
            date(year, month, 1),
            now,
            pack.series_ids,
            pack.instants,
            pack.quantities,
            pack.labels or None,
            pack.sources,
            pack.external_ids,
        )
        for (shard, form, year, month), pack in sorted(packs.items())
    ]
    await connection.exec_driver_sql(_APPEND, rows)


def _packed(counted: Iterable[Candidate], series_ids: Iterable[SeriesId]) -> dict[PackKey, Pack]:
    packs: dict[PackKey, Pack] = {}
    next_id = iter(series_ids)
    for candidate in counted:
        org, at, event = candidate.organization, candidate.occurred_at, candidate.event
        instant = microseconds_of(at)
        for reading in candidate.readings:
            key = (org.shard, reading.feed.form, at.year, at.month)
            pack = packs.get(key)
            if pack is None:
                pack = packs[key] = Pack()
            pack.series_ids.append(next(next_id))
            pack.instants.append(instant)
            pack.quantities.append(reading.quantity)
            pack.sources.append(event.source)
            pack.external_ids.append(event.id)
            if reading.label is not None:
                pack.labels.append(reading.label)
    return packs
