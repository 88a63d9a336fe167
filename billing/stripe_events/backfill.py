"""Reading Stripe's own list of events, for those that no webhook has told us of.

They go through the same inbox, which knows those that did come. What Stripe never made an event of
is found by reconciliation alone.
"""

import asyncio
import logging
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from billing.errors import Unavailable
from billing.models import EventOrigin, StripeEventCursor
from billing.runtime import Runtime
from billing.stripe_events.inbox import receive
from billing.stripe_events.nouns import HANDLED_TYPES
from billing.stripe_limits import Lane, in_lane
from billing.stripe_protocol import EventQuery

log = logging.getLogger(__name__)

EVERY = timedelta(hours=1)
OVERLAP = timedelta(minutes=10)
"""Read again each time: Stripe's lists and clocks may lag a little behind its deeds."""

LISTED_FOR = timedelta(days=30)
SLICE = timedelta(days=1)
"""What is read before the cursor moves, so that a long outage is caught up with in steps."""

LEASE = timedelta(minutes=5)
BUDGET_SECONDS = 120
_ONLY = 1


async def backfill_due(runtime: Runtime) -> int | None:
    """Read what is new, if that was not done within the hour; answers how many events we lacked.

    None where it is not due, or another worker reads. Stripe being away puts it off.
    """
    now = await runtime.now()
    async with runtime.sessions.begin() as session:
        leased = await _lease(session, now)
    if leased is None:
        return None
    start = max(leased - OVERLAP, now - LISTED_FOR)
    deadline = asyncio.get_running_loop().time() + BUDGET_SECONDS
    found = 0
    try:
        while start < now and asyncio.get_running_loop().time() < deadline:
            end = min(start + SLICE, now)
            with in_lane(Lane.REFETCH):
                found += await _read(runtime, start, end, now)
            await _advance(runtime, end, now + LEASE, found)
            start = end
    except Unavailable as error:
        log.warning("events are not back-filled yet: %s: %s", error.code, error)
        await _advance(runtime, None, now + error.retry_after, found)
        return found
    await _advance(runtime, None, now + EVERY if start >= now else now, found)
    if found:
        log.warning("%s events of Stripe had not come by webhook", found)
        await runtime.nudges.enqueue("handle_stripe_events")
    return found


async def _lease(session: AsyncSession, now: datetime) -> datetime | None:
    """Up to when the list was read, if reading on is due; the beginning is an overlap ago."""
    await session.execute(
        insert(StripeEventCursor)
        .values(id=_ONLY, next_attempt_at=now, read_until=None, checked_at=None, found=0)
        .on_conflict_do_nothing()
    )
    cursor = await session.scalar(
        select(StripeEventCursor)
        .where(StripeEventCursor.id == _ONLY, StripeEventCursor.next_attempt_at <= now)
        .with_for_update(skip_locked=True)
    )
    if cursor is None:
        return None
    cursor.next_attempt_at = now + LEASE
    return cursor.read_until or now - LISTED_FOR


async def _read(runtime: Runtime, start: datetime, end: datetime, now: datetime) -> int:
    query = EventQuery(HANDLED_TYPES, start, end)
    is_live = runtime.settings.stripe_is_live
    following: str | None = None
    found = 0
    while True:
        page = await runtime.stripe.list_events(query, following)
        async with runtime.sessions.begin() as session:
            for event in page.events:
                found += await receive(
                    session, event, now, is_live=is_live, origin=EventOrigin.BACKFILL
                )
        if page.cursor is None:
            return found
        following = page.cursor


async def _advance(
    runtime: Runtime, read_until: datetime | None, next_attempt_at: datetime, found: int
) -> None:
    async with runtime.sessions.begin() as session:
        cursor = await session.get_one(StripeEventCursor, _ONLY, with_for_update=True)
        if read_until is not None:
            cursor.read_until = max(read_until, cursor.read_until or read_until)
        cursor.checked_at = await runtime.now()
        cursor.next_attempt_at = next_attempt_at
        cursor.found = found


async def find_cursor(session: AsyncSession) -> StripeEventCursor | None:
    """How far Stripe's list has been read; None before the first time."""
    return await session.get(StripeEventCursor, _ONLY)
