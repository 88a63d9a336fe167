"""What no webhook told of is read from Stripe's own list, hourly, through the same inbox."""

import asyncio
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import cast

from sqlalchemy import delete, func, select

from billing.models import (
    EventOrigin,
    InvoiceStatus,
    Outcome,
    StripeEvent,
    StripeEventCursor,
)
from billing.runtime import Runtime
from billing.stripe_events import HANDLED_TYPES, backfill_due, handle_due
from billing.stripe_events.backfill import EVERY, LEASE, LISTED_FOR, OVERLAP
from billing.stripe_protocol import EventPage, EventQuery, Stripe
from sandbox.stripe.app import FakeStripe
from sandbox.stripe.chaos import Fault, Switch
from tests.billing.test_stripe_events import a_pushed_invoice, local, pay
from tests.world import Clock

LIST = "GET /v1/events"


async def received(runtime: Runtime) -> int:
    async with runtime.sessions() as session:
        return await session.scalar(select(func.count()).select_from(StripeEvent)) or 0


async def test_missed_events_are_found_and_acted_upon(
    connected: Runtime, fake: FakeStripe, clock: Clock
) -> None:
    """dj-stripe #1499, adcp #3211: one webhook in a hundred is lost, and nobody ever notices."""
    invoice_id, _ = await a_pushed_invoice(connected)
    await pay(fake, clock)
    clock.advance(timedelta(minutes=1))

    assert await backfill_due(connected) == 2  # finalized and paid
    await handle_due(connected)

    assert (await local(connected, invoice_id)).status is InvoiceStatus.PAID
    async with connected.sessions() as session:
        events = (await session.scalars(select(StripeEvent))).all()
    assert {event.origin for event in events} == {EventOrigin.BACKFILL}
    assert {event.outcome for event in events} == {Outcome.PROCESSED}


async def test_it_runs_once_an_hour_and_only_reads_what_is_new(
    connected: Runtime, fake: FakeStripe, clock: Clock
) -> None:
    await a_pushed_invoice(connected)
    clock.advance(timedelta(minutes=1))
    assert await backfill_due(connected) == 1
    assert await backfill_due(connected) is None
    first = fake.world.calls[LIST]

    clock.advance(EVERY)
    assert await backfill_due(connected) == 0
    assert fake.world.calls[LIST] - first == 1
    async with connected.sessions() as session:
        cursor = await session.get_one(StripeEventCursor, 1)
    assert cursor.read_until == clock.at


async def test_what_came_late_into_the_list_is_within_the_overlap(
    connected: Runtime, fake: FakeStripe, clock: Clock
) -> None:
    await a_pushed_invoice(connected)
    clock.advance(OVERLAP - timedelta(minutes=1))
    await backfill_due(connected)
    async with connected.sessions.begin() as session:
        await session.execute(delete(StripeEvent))  # as if Stripe had not listed it yet
    async with connected.sessions.begin() as session:
        (await session.get_one(StripeEventCursor, 1)).next_attempt_at = clock.at

    assert await backfill_due(connected) == 1


async def test_after_a_long_outage_it_reads_thirty_days_in_steps(
    connected: Runtime, fake: FakeStripe, clock: Clock
) -> None:
    await a_pushed_invoice(connected)
    clock.advance(timedelta(days=20))
    await a_pushed_invoice(connected)
    clock.advance(timedelta(days=15))

    assert await backfill_due(connected) == 1  # Stripe lists the older one no more
    assert fake.world.calls[LIST] == LISTED_FOR.days


async def test_while_stripe_is_down_it_waits_and_two_workers_do_not_meet(
    connected: Runtime, fake: FakeStripe, clock: Clock
) -> None:
    await a_pushed_invoice(connected)
    clock.advance(timedelta(minutes=1))
    fake.world.chaos.turn_on(Fault.DOWN, Switch(operation=LIST, calls=1))
    assert await backfill_due(connected) == 0
    assert await received(connected) == 0

    clock.advance(timedelta(minutes=1))
    outcomes = await asyncio.gather(*(backfill_due(connected) for _ in range(3)))
    assert sorted(map(str, outcomes)) == ["1", "None", "None"]


async def test_more_than_a_page_is_read_to_its_end(
    connected: Runtime, fake: FakeStripe, clock: Clock
) -> None:
    await a_pushed_invoice(connected)
    (event,) = [x for x in fake.world.events if x.type == "invoice.finalized"]
    for number in range(150):
        fake.world.events.add(replace(event, id=f"evt_more_{number}"))
    clock.advance(timedelta(minutes=1))

    assert await backfill_due(connected) == 151
    assert fake.world.calls[LIST] == LISTED_FOR.days + 1


class CutOff:
    """Stripe to a worker whose job is cut off after two pages, as by its time-out."""

    def __init__(self, inner: Stripe) -> None:
        self._inner = inner
        self._left = 2

    async def list_events(self, query: EventQuery, cursor: str | None) -> EventPage:
        if not self._left:
            raise asyncio.CancelledError
        self._left -= 1
        return await self._inner.list_events(query, cursor)


async def test_a_day_of_more_events_than_one_job_can_read_is_read_in_several(
    connected: Runtime, fake: FakeStripe, clock: Clock
) -> None:
    """Fifty thousand invoices make two thousand pages; a job that began anew would never end."""
    await a_pushed_invoice(connected)
    (event,) = [x for x in fake.world.events if x.type == "invoice.finalized"]
    for number in range(899):
        fake.world.events.add(replace(event, id=f"evt_more_{number}"))
    clock.advance(timedelta(minutes=1))

    for _ in range(40):
        cut_off = cast(Stripe, CutOff(connected.stripe))
        with suppress(asyncio.CancelledError):
            await backfill_due(replace(connected, stripe=cut_off))
            break
        clock.advance(LEASE)

    assert await received(connected) == 900
    assert fake.world.calls[LIST] <= LISTED_FOR.days + 10  # no page was read twice
    async with connected.sessions() as session:
        cursor = await session.get_one(StripeEventCursor, 1)
    assert (cursor.read_until, cursor.slice_end, cursor.page_after) == (clock.at, None, None)


async def test_a_place_that_stripe_no_longer_knows_is_given_up(
    connected: Runtime, fake: FakeStripe, clock: Clock
) -> None:
    await a_pushed_invoice(connected)
    clock.advance(timedelta(minutes=1))
    async with connected.sessions.begin() as session:
        session.add(
            StripeEventCursor(
                id=1,
                read_until=clock.at - timedelta(hours=1),
                slice_end=clock.at,
                page_after="evt_gone",
                next_attempt_at=clock.at,
                found=0,
            )
        )
    assert await backfill_due(connected) == 0
    clock.advance(timedelta(minutes=10))
    assert await backfill_due(connected) == 1


def test_stripe_takes_no_more_types_at_once() -> None:
    assert len(HANDLED_TYPES) <= 20
