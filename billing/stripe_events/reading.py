"""The inbox for staff: how many of which outcome, how late, and the latest."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from billing.models import Outcome, StripeEvent
from billing.stripe_wire import API_VERSION

PAGE_SIZE_MAX = 100
LATE = timedelta(minutes=5)
COUNTED_FOR = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class InboxHealth:
    """Of the last day, but for what waits. `late` have waited for five minutes or more."""

    waiting: int
    late: int
    processed: int
    ignored: int
    failed: int
    other_version: int
    last_received_at: datetime | None


async def inbox_health(session: AsyncSession, now: datetime) -> InboxHealth:
    """In one statement each for what waits and for the last day."""
    waits = StripeEvent.handled_at.is_(None)
    waiting, late = (
        await session.execute(
            select(func.count(), func.count().filter(StripeEvent.received_at <= now - LATE)).where(
                waits
            )
        )
    ).one()
    row = (
        await session.execute(
            select(
                func.count().filter(StripeEvent.outcome == Outcome.PROCESSED).label("processed"),
                func.count().filter(StripeEvent.outcome == Outcome.IGNORED).label("ignored"),
                func.count().filter(StripeEvent.outcome == Outcome.FAILED).label("failed"),
                func.count().filter(StripeEvent.api_version != API_VERSION).label("other"),
            ).where(StripeEvent.received_at > now - COUNTED_FOR)
        )
    ).one()
    last = await session.scalar(select(func.max(StripeEvent.received_at)))
    return InboxHealth(waiting, late, row.processed, row.ignored, row.failed, row.other, last)


async def received_events(
    session: AsyncSession,
    *,
    limit: int,
    outcome: Outcome | None = None,
    before: tuple[datetime, str] | None = None,
) -> Sequence[StripeEvent]:
    """The latest first. `before` is (received_at, id) of the last one shown."""
    statement = (
        select(StripeEvent)
        .order_by(StripeEvent.received_at.desc(), StripeEvent.id.desc())
        .limit(min(limit, PAGE_SIZE_MAX + 1))
    )
    if outcome is not None:
        statement = statement.where(StripeEvent.outcome == outcome)
    if before is not None:
        statement = statement.where(tuple_(StripeEvent.received_at, StripeEvent.id) < before)
    return (await session.scalars(statement)).all()
