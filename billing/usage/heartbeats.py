"""Heartbeats taken: how far a source has sent, and what it says each hour came to.

A source is known by its name and by who vouches for it: the platform, or one organization.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from sqlalchemy import func, or_
from sqlalchemy.dialects.postgresql import Insert, insert
from sqlalchemy.ext.asyncio import AsyncSession

from billing.accounts import Viewer
from billing.catalog import meters
from billing.errors import Forbidden, Invalid
from billing.ids import MeterId, OrgId, new_id
from billing.models import UsageControlTotal, UsageHeartbeat
from billing.names import nearest
from billing.usage.heartbeat_shapes import Heartbeat, HourTotal
from billing.usage.intake import AGE_MAX, AHEAD_MAX
from billing.usage.rows import as_given, insert_rows
from billing.usage.store import require_write

HOUR = timedelta(hours=1)

_TOTALS = (
    "id",
    "source",
    "org_id",
    "hour",
    "meter_id",
    "event_count",
    "total",
    "is_same",
    "next_check_at",
    "recorded_at",
)
_UNCHECKED = ("counted_events", "counted_total", "checked_at")


class UnknownMeter(Invalid):
    """No meter has this slug."""

    code = "UNKNOWN_METER"

    def __init__(self, slug: str, field: str, near: str | None) -> None:
        question = f" Did you mean {near!r}?" if near else ""
        super().__init__(f"No meter has the slug {slug[:64]!r}.{question}", field=field)
        self.did_you_mean = near


def _replacing() -> Insert:
    """Totals as they are said now. What was changed, or left as a gap, is compared again."""
    statement = insert_rows(UsageControlTotal, _TOTALS)
    held, said = UsageControlTotal.__table__.c, statement.excluded
    words = ("event_count", "total", "is_same", "next_check_at", "recorded_at")
    return statement.on_conflict_do_update(
        index_elements=["source", "org_id", "hour", "meter_id"],
        set_={**{name: said[name] for name in words}, **dict.fromkeys(_UNCHECKED)},
        where=or_(
            held.event_count != said.event_count,
            held.total != said.total,
            ~held.is_same & held.next_check_at.is_(None),
        ),
    )


_REPLACE = _replacing()


async def record_heartbeat(
    session: AsyncSession, heartbeat: Heartbeat, *, viewer: Viewer, now: datetime
) -> None:
    """Take all of it or, raising `Invalid` with the field, nothing. Doing it again is harmless.

    A key bound to an organization speaks for that one's usage alone, any other key for the whole
    platform's. `through` never goes backwards. Raises `Forbidden` for whoever is no such key.
    """
    org_id = _spoken_for(viewer)
    _check_times(heartbeat, now)
    named = await _meters_of(session, heartbeat.hours)
    await _advance(session, heartbeat, org_id, now)
    rows = sorted(
        (total.hour, named[total.meter], total.count, total.total) for total in heartbeat.hours
    )
    if rows:
        given = [
            (
                new_id(),
                heartbeat.source,
                org_id,
                hour,
                meter_id,
                count,
                total,
                False,
                max(now, hour + HOUR),
                now,
            )
            for hour, meter_id, count, total in rows
        ]
        await session.execute(_REPLACE, as_given(_TOTALS, given))


def _spoken_for(viewer: Viewer) -> OrgId | None:
    require_write(viewer)
    if viewer.org_id is None and not viewer.sees_all:
        raise Forbidden("A heartbeat is sent with an API key: it speaks for all that the key may.")
    return viewer.org_id


def _check_times(heartbeat: Heartbeat, now: datetime) -> None:
    if heartbeat.through > now + AHEAD_MAX:
        raise _in_future("through", "is more than 5 minutes ahead of our clock")
    for total in heartbeat.hours:
        field = f"{total.field}.hour"
        if total.hour > now:
            raise _in_future(field, "has not begun by our clock")
        if now - total.hour > AGE_MAX:
            raise Invalid(
                f"{field} is more than {AGE_MAX.days} days ago.", code="TIME_TOO_OLD", field=field
            )


def _in_future(field: str, what: str) -> Invalid:
    return Invalid(f"{field} {what}.", code="TIME_IN_FUTURE", field=field)


async def _meters_of(session: AsyncSession, hours: Iterable[HourTotal]) -> Mapping[str, MeterId]:
    """By slug. Raises `UnknownMeter` for the first that there is not."""
    if not (hours := list(hours)):
        return {}
    known = {meter.slug: meter.id for meter in await meters(session)}
    for total in hours:
        if total.meter not in known:
            near = nearest(total.meter, known)
            raise UnknownMeter(total.meter, f"{total.field}.meter", near)
    return known


async def _advance(
    session: AsyncSession, heartbeat: Heartbeat, org_id: OrgId | None, now: datetime
) -> None:
    statement = insert(UsageHeartbeat).values(
        id=new_id(),
        source=heartbeat.source,
        org_id=org_id,
        through=heartbeat.through,
        recorded_at=now,
    )
    held, said = UsageHeartbeat.__table__.c, statement.excluded
    latest = {name: func.greatest(held[name], said[name]) for name in ("through", "recorded_at")}
    await session.execute(
        statement.on_conflict_do_update(index_elements=["source", "org_id"], set_=latest)
    )
