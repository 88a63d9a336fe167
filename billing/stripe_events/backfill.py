"""Reading Stripe's own list of events, for those that no webhook has told us of.

They go through the same inbox, which knows those that did come. What Stripe never made an event of
is found by reconciliation alone.
"""

import asyncio
import logging
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from billing.errors import BillingError, Unavailable
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
"""What is asked for at once, so that a long outage is caught up with from its beginning."""

LEASE = timedelta(minutes=5)
BUDGET_SECONDS = 120
_ONLY = 1


@dataclass(frozen=True, slots=True)
class _Place:
    """What is read next: of a slice, the newest first, what is older than the event `after`."""

    start: datetime
    end: datetime
    after: str | None = None

    def following(self, now: datetime) -> "_Place":
        """The slice after this one."""
        return _Place(self.end, min(self.end + SLICE, now))


async def backfill_due(runtime: Runtime) -> int | None:
    """Read what is new, if that was not done within the hour; answers how many events we lacked.

    None where it is not due, or another worker reads. Stripe being away puts it off. Each page is
    committed with where the next begins: a job that is cut off is gone on with, not begun anew.
    """
    now = await runtime.now()
    async with runtime.sessions.begin() as session:
        place = await _lease(session, now)
    if place is None:
        return None
    deadline = asyncio.get_running_loop().time() + BUDGET_SECONDS
    found = 0
    try:
        with in_lane(Lane.REFETCH):
            while place.start < now and asyncio.get_running_loop().time() < deadline:
                added, place = await _read_page(runtime, place, now)
                found += added
    except Unavailable as error:
        log.warning("events are not back-filled yet: %s: %s", error.code, error)
        await _end(runtime, now + error.retry_after, found)
        return found
    except BillingError as error:
        log.warning("events are not back-filled: %s: %s", error.code, error)
        await _end(runtime, now + LEASE, found, gives_up_place=True)
        return found
    await _end(runtime, now + EVERY if place.start >= now else now, found)
    if found:
        log.warning("%s events of Stripe had not come by webhook", found)
        await runtime.nudges.enqueue("handle_stripe_events")
    return found


async def _lease(session: AsyncSession, now: datetime) -> _Place | None:
    """Where reading goes on, if that is due: an overlap before what was read to its end."""
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
    start = max((cursor.read_until or now - LISTED_FOR) - OVERLAP, now - LISTED_FOR)
    if cursor.slice_end is not None and start < cursor.slice_end <= now:
        return _Place(start, cursor.slice_end, cursor.page_after)
    return _Place(start, min(start + SLICE, now))


async def _read_page(runtime: Runtime, place: _Place, now: datetime) -> tuple[int, _Place]:
    """One page into the inbox; answers how many of it we lacked, and where the next begins."""
    query = EventQuery(HANDLED_TYPES, place.start, place.end)
    page = await runtime.stripe.list_events(query, place.after)
    is_live = runtime.settings.stripe_is_live
    lease_ends = await runtime.now() + LEASE
    found = 0
    async with runtime.sessions.begin() as session:
        for event in page.events:
            found += await receive(
                session, event, now, is_live=is_live, origin=EventOrigin.BACKFILL
            )
        cursor = await session.get_one(StripeEventCursor, _ONLY, with_for_update=True)
        cursor.next_attempt_at = lease_ends
        if page.cursor is not None:
            cursor.slice_end, cursor.page_after = place.end, page.cursor
            return found, replace(place, after=page.cursor)
        cursor.read_until = max(place.end, cursor.read_until or place.end)
        cursor.slice_end = cursor.page_after = None
    return found, place.following(now)


async def _end(
    runtime: Runtime, next_attempt_at: datetime, found: int, *, gives_up_place: bool = False
) -> None:
    """`gives_up_place`: Stripe did not take it, so the slice is read from its top."""
    now = await runtime.now()
    async with runtime.sessions.begin() as session:
        cursor = await session.get_one(StripeEventCursor, _ONLY, with_for_update=True)
        cursor.checked_at = now
        cursor.next_attempt_at = next_attempt_at
        cursor.found = found
        if gives_up_place:
            cursor.slice_end = cursor.page_after = None


async def find_cursor(session: AsyncSession) -> StripeEventCursor | None:
    """How far Stripe's list has been read; None before the first time."""
    return await session.get(StripeEventCursor, _ONLY)
