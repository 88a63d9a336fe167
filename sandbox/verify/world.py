"""One part of the world: its weeks lived, its periods closed, its invoices computed again."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random

import uvloop
from sqlalchemy import select

from billing.closing import close_due
from billing.holds import open_holds, release_hold
from billing.models import Invoice
from billing.price_book import apply_price_book, read_price_book
from billing.runtime import Runtime
from billing.settings import Settings
from billing.verifying import verify_all
from sandbox.throwaway import HandClock, opened
from sandbox.verify.book import price_book
from sandbox.verify.people import ACTOR, Member, change, open_all
from sandbox.verify.usage import WEEK, Usage

OPENED = datetime(2026, 7, 3, 9, tzinfo=UTC)
WEEKS = 14
"""Up to the ninth of October: three periods of everybody have ended and are closed."""

TOLD_EACH = 500
Told = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How many invoices were computed again, and what differs, by number."""

    verified: int
    differing: tuple[str, ...]


def live_and_verify(settings: Settings, numbers: range, told: Told) -> Outcome:
    """Everything, for the organizations of these numbers, on a database of their own."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_live_and_verify(settings, numbers, told))


async def _live_and_verify(settings: Settings, numbers: range, told: Told) -> Outcome:
    clock = HandClock(OPENED)
    async with opened(settings, clock) as runtime:
        members = [Member(number) for number in numbers]
        await _live(runtime, clock, members, told)
        return await _verify(runtime, told)


async def _live(runtime: Runtime, clock: HandClock, members: list[Member], told: Told) -> None:
    async with runtime.sessions.begin() as session:
        book = read_price_book(price_book())
        await apply_price_book(session, book, actor=ACTOR, now=clock.at)
    organizations = await open_all(runtime, members, clock.at)
    told(f"{len(members)} organizations opened")
    usage = Usage(Random(members[0].number))  # noqa: S311 - a workload is nobody's secret
    issued = 0
    for week in range(WEEKS):
        since, clock.at = clock.at, clock.at + WEEK
        await usage.send_week(runtime, members, since, clock.at)
        await usage.void_some(runtime, clock.at)
        await change(runtime, members, organizations, week, clock.at)
        issued += await _close(runtime, clock)
        told(f"week {week + 1} of {WEEKS}: {usage.events_sent} events, {issued} periods closed")


async def _close(runtime: Runtime, clock: HandClock) -> int:
    """All that is due; what is held, staff look at and let go."""
    issued = 0
    while True:
        report = await close_due(runtime)
        assert not report.failed, report.failed
        issued += report.issued
        if not report.held:
            return issued
        clock.at += timedelta(seconds=1)
        async with runtime.sessions.begin() as session:
            for org, _, hold in await open_holds(session, limit=10_000):
                await release_hold(
                    session, org, hold.reason, note="Looked at.", actor=ACTOR, now=clock.at
                )


async def _verify(runtime: Runtime, told: Told) -> Outcome:
    async with runtime.sessions() as session:
        issued = select(Invoice.id).where(Invoice.number.is_not(None))
        rows = await session.scalars(issued.order_by(Invoice.org_id, Invoice.issued_at))
    invoice_ids = rows.all()
    verified, differing = 0, []
    async for one in verify_all(runtime, invoice_ids):
        verified += 1
        if not one.is_same:
            differing.append(f"{one.number}: {one.message}")
        if verified % TOLD_EACH == 0:
            told(f"{verified} of {len(invoice_ids)} invoices verified")
    return Outcome(verified, tuple(differing))
