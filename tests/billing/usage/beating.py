"""Heartbeats in tests."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import select

from billing.accounts import Viewer
from billing.models import UsageControlTotal
from billing.usage import NumberText
from billing.usage.heartbeat_shapes import parse_heartbeat
from billing.usage.heartbeats import record_heartbeat
from tests.billing.usage.conftest import Usage, a_key

Totals = Mapping[tuple[datetime, str], tuple[int, object]]
"""Count and sum, by hour and meter."""


async def beat(
    usage: Usage,
    totals: Totals | None = None,
    *,
    source: str = "phoenix/eu-1",
    through: datetime | None = None,
    viewer: Viewer | None = None,
) -> None:
    """With the platform's key, and through until now, unless told otherwise."""
    hours = [
        {
            "hour": hour.isoformat(),
            "meter": meter,
            "count": NumberText(count),
            "sum": NumberText(total),
        }
        for (hour, meter), (count, total) in (totals or {}).items()
    ]
    raw = {"source": source, "through": (through or usage.clock.at).isoformat(), "hours": hours}
    async with usage.runtime.sessions.begin() as session:
        await record_heartbeat(
            session, parse_heartbeat(raw), viewer=viewer or a_key(), now=usage.clock.at
        )


async def control_totals(usage: Usage) -> list[UsageControlTotal]:
    """All of them, by hour."""
    async with usage.runtime.sessions() as session:
        by_hour = select(UsageControlTotal).order_by(UsageControlTotal.hour, UsageControlTotal.id)
        return list(await session.scalars(by_hour))
