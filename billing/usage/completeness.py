"""Reading how complete usage is: for a page and an estimate, for a close, and for an alarm."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from billing.ids import OrgId
from billing.rules.completeness import (
    BEHIND_AFTER,
    MissingHour,
    SourceGap,
    SourceState,
    behind_of,
)
from billing.rules.periods import Period, period_at
from billing.usage.intake import AGE_MAX

MISSING_HOURS_MAX = 50
"""The latest, for each source: whoever lacks more knows enough."""

USED_BEFORE = timedelta(days=7)
"""How long before a period a source may last have been used, and still be missed in it."""

# A source is the organization's when it has sent usage of it, or speaks for it alone. What a source
# of the whole platform says concerns an organization as far as that uses the meter.
_KNOWN = """
WITH known AS MATERIALIZED (
    SELECT source FROM usage_sources WHERE org_id = :org_id
    UNION SELECT source FROM usage_heartbeats WHERE org_id = :org_id
)
"""
_THROUGH = """
LEFT JOIN LATERAL (
    SELECT min(through) AS through FROM (
        SELECT through FROM usage_heartbeats
        WHERE source = known.source AND org_id = :org_id
        UNION ALL
        SELECT through FROM usage_heartbeats
        WHERE source = known.source AND org_id IS NULL
    ) AS either
) AS beat ON true
"""
_OPEN = """
    SELECT hour, meter_id, event_count, total, counted_events, counted_total
    FROM usage_control_totals
    WHERE NOT is_same AND source = known.source AND org_id = :org_id
      AND hour >= :start AND hour < :end
    UNION ALL
    SELECT hour, meter_id, event_count, total, counted_events, counted_total
    FROM usage_control_totals AS said
    WHERE NOT is_same AND source = known.source AND org_id IS NULL
      AND hour >= :start AND hour < :end AND EXISTS (
        SELECT FROM usage_series
        WHERE org_id = :org_id AND usage_series.meter_id = said.meter_id
      )
"""
_STATES = text(
    _KNOWN  # noqa: S608 - constants of this file
    + """
SELECT known.source, heard.last_occurred_at, heard.last_recorded_at, beat.through, fed.meters,
       missing.hour, meters.name AS meter, missing.event_count, missing.total,
       missing.counted_events, missing.counted_total, organizations.anchor_day
FROM known
JOIN organizations ON organizations.id = :org_id
LEFT JOIN usage_sources AS heard ON (heard.org_id, heard.source) = (:org_id, known.source)
"""
    + _THROUGH
    + """
LEFT JOIN LATERAL (
    SELECT array_agg(meters.name ORDER BY meters.name) AS meters
    FROM (
        SELECT meter_id FROM usage_control_totals
        WHERE source = known.source AND org_id = :org_id
          AND hour > beat.through - interval '1 day' AND hour <= beat.through
        UNION
        SELECT meter_id FROM (
            SELECT DISTINCT meter_id FROM usage_control_totals
            WHERE source = known.source AND org_id IS NULL
              AND hour > beat.through - interval '1 day' AND hour <= beat.through
        ) AS said
        WHERE EXISTS (
            SELECT FROM usage_series
            WHERE org_id = :org_id AND usage_series.meter_id = said.meter_id
        )
    ) AS said JOIN meters ON meters.id = said.meter_id
) AS fed ON true
LEFT JOIN LATERAL (
    SELECT * FROM ("""
    + _OPEN
    + """) AS unconfirmed
    WHERE counted_events IS NOT NULL ORDER BY hour DESC, meter_id LIMIT :limit
) AS missing ON true
LEFT JOIN meters ON meters.id = missing.meter_id
ORDER BY known.source, missing.hour, meters.name
"""
)
_GAPS = text(
    _KNOWN  # noqa: S608 - constants of this file
    + """
SELECT known.source, CASE WHEN heard.source IS NOT NULL THEN beat.through END AS through,
       unconfirmed.hours
FROM known
LEFT JOIN usage_sources AS heard ON (heard.org_id, heard.source) = (:org_id, known.source)
     AND heard.last_occurred_at >= :used_since
"""
    + _THROUGH
    + """
LEFT JOIN LATERAL (
    SELECT array_agg(DISTINCT hour ORDER BY hour) AS hours FROM ("""
    + _OPEN
    + """) AS either
) AS unconfirmed ON true
WHERE unconfirmed.hours IS NOT NULL OR (heard.source IS NOT NULL AND beat.through < :end)
ORDER BY known.source
"""
)
_ALARMS = text("""
SELECT (
    SELECT count(*) FROM usage_control_totals
    WHERE NOT is_same AND counted_events IS NOT NULL AND hour > :oldest
) AS gaps, (
    SELECT count(*) FROM usage_heartbeats WHERE through < :late AND recorded_at > :oldest
) AS behind
""")


@dataclass(frozen=True, slots=True)
class Alarms:
    """How many control totals differ, and how many sources are behind, as of the last 34 days."""

    gaps: int
    behind: int


async def completeness(
    session: AsyncSession, org_id: OrgId, now: datetime
) -> tuple[SourceState, ...]:
    """Every source of this organization's usage, by name, and what it lacks of the open period.

    One query, for it is part of every estimate.
    """
    limits = {"start": now - AGE_MAX, "end": now, "limit": MISSING_HOURS_MAX}
    rows = await session.execute(_STATES, {"org_id": org_id, **limits})
    by_source: dict[str, list[Row[Any]]] = {}
    for row in rows:
        by_source.setdefault(row.source, []).append(row)
    return tuple(_state(found, now) for found in by_source.values())


def _state(rows: list[Row[Any]], now: datetime) -> SourceState:
    one = rows[0]
    heard = [at for at in (one.through, one.last_occurred_at) if at is not None]
    is_retired = all(now - at > AGE_MAX for at in heard)
    open_since = period_at(now, one.anchor_day).start
    return SourceState(
        one.source,
        tuple(one.meters or ()),
        one.last_occurred_at,
        one.last_recorded_at,
        one.through,
        None if is_retired else behind_of(one.through, now),
        tuple(_missing(rows, open_since)),
        is_retired,
    )


def _missing(rows: Iterable[Row[Any]], since: datetime) -> list[MissingHour]:
    return [
        MissingHour(
            row.hour,
            row.meter,
            row.event_count,
            row.counted_events,
            row.total,
            row.counted_total,
        )
        for row in rows
        if row.hour is not None and row.hour >= since
    ]


async def source_gaps(session: AsyncSession, org_id: OrgId, period: Period) -> list[SourceGap]:
    """What an ended period of this organization still waits for, by source; one query.

    A source it has used that has not said it is through with the period, and hours of the period
    whose control totals differ or are not compared yet. A source without heartbeats is no gap.
    """
    limits = {
        "start": period.start,
        "end": period.end,
        "used_since": period.start - USED_BEFORE,
    }
    rows = await session.execute(_GAPS, {"org_id": org_id, **limits})
    return [
        SourceGap(
            row.source,
            row.through if row.through is not None and row.through < period.end else None,
            tuple(row.hours or ()),
        )
        for row in rows
    ]


async def usage_alarms(session: AsyncSession, now: datetime) -> Alarms:
    """What should make somebody look, over all organizations; one query."""
    limits = {"oldest": now - AGE_MAX, "late": now - BEHIND_AFTER}
    row = (await session.execute(_ALARMS, limits)).one()
    return Alarms(row.gaps, row.behind)
