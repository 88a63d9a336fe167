"""The world of a schedule: some organizations with items to bill, a fake Stripe, mortal workers."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import msgspec
from sqlalchemy import text

from billing import stripe_events
from billing.ids import OrgId
from billing.models import OneOffItem, Organization, StripeEventCursor
from billing.rules.money import Currency
from billing.runtime import Runtime, Sessions, limiter_for
from billing.stripe_gateway import open_stripe
from sandbox.stripe import lifecycle
from sandbox.stripe.app import FakeStripe
from sandbox.stripe.event_body import snapshot
from sandbox.stripe.ids import Ids
from sandbox.stripe.records import Event
from sandbox.stripe.world import World, unix
from tests.factories import an_organization
from tests.soak.doors import Doors, DoorSessions, DoorWire
from tests.world import EMPTY_EVERYTHING, Clock

AFTER_GRACE = datetime(2026, 12, 2, 0, 30, tzinfo=UTC)
ITEM_MINOR = 997

Work = Callable[[Runtime], Coroutine[Any, Any, object]]


@dataclass(slots=True)
class Stage:
    """`base` is our side without Stripe; `told` are the events that webhooks have delivered."""

    base: Runtime
    clock: Clock
    fake: FakeStripe
    lines: tuple[int, ...]
    orgs: list[Organization] = field(default_factory=list)
    told: int = 0
    edited: bool = False

    def lines_of(self, org_id: OrgId) -> int:
        """How many the organization's invoice has."""
        return next(n for org, n in zip(self.orgs, self.lines, strict=True) if org.id == org_id)

    async def work(self, act: Work, *, fatal: int | None = None) -> None:
        """One worker is born, does this, and ends, or dies at the door of that number."""
        doors = Doors(fatal)
        async with self.worker(doors) as runtime:
            doors.victim = asyncio.create_task(act(runtime))
            with suppress(asyncio.CancelledError):
                await doors.victim

    @asynccontextmanager
    async def worker(self, doors: Doors) -> AsyncIterator[Runtime]:
        """Doors of its own: sessions, gateway and limiter; who waits moves the clock on."""
        limits = replace(
            limiter_for(self.base.settings, self.base.nudges.redis, self.clock), sleep=self.pass_
        )
        wire = DoorWire(self.fake, doors)
        async with open_stripe(self.base.settings, limits, wire=wire) as stripe:
            sessions = cast(Sessions, DoorSessions(self.base.sessions, doors))
            yield replace(self.base, stripe=stripe, sessions=sessions, _memory={})

    async def pass_(self, seconds: float) -> None:
        """Sleeping is over at once; the clock knows that it took a while."""
        self.clock.advance(timedelta(seconds=seconds))

    def collect(self) -> None:
        """Stripe does by itself what is due: charges cards, mostly."""
        lifecycle.advance_due(self.fake.world, unix(self.clock.at))

    async def hear(self, how: int) -> None:
        """What Stripe has to tell since the last time: as it came, reversed, twice, or in part."""
        events = list(self.fake.world.events)[: len(self.fake.world.events) - self.told]
        self.told += len(events)
        oldest_first = events[::-1]
        match how:
            case 0:
                await self.receive(oldest_first)
            case 1:
                await self.receive(events)
            case 2:
                await self.receive(oldest_first + events)
            case _:
                await self.receive(oldest_first[::2])
        await self.work(stripe_events.handle_due)

    async def receive(self, events: list[Event]) -> None:
        """As the webhook's route does, once the signature is found good."""
        async with self.base.sessions.begin() as session:
            for event in events:
                body = msgspec.json.decode(msgspec.json.encode(snapshot(event)))
                await stripe_events.receive(session, body, self.clock.at)


@asynccontextmanager
async def stage_for(base: Runtime, lines: tuple[int, ...], seed: int) -> AsyncIterator[Stage]:
    """An emptied database, and one organization with so many items for each invoice to be."""
    clock = Clock(AFTER_GRACE)
    async with base.engine.begin() as connection:
        await connection.execute(text(EMPTY_EVERYTHING))
    await base.nudges.redis.flushdb()
    fake = FakeStripe(World(ids=Ids(seed=seed)), clock)
    settings = replace(base.settings, stripe_api_base="http://stripe.test")
    stage = Stage(replace(base, settings=settings, now=clock), clock, fake, lines)
    async with base.sessions.begin() as session:
        # Stripe's list has been read up to now: else the first reading goes through thirty days.
        session.add(StripeEventCursor(id=1, read_until=AFTER_GRACE, next_attempt_at=AFTER_GRACE))
        for count in lines:
            org = await an_organization(session)
            stage.orgs.append(org)
            session.add_all(_item(org, number) for number in range(count))
    yield stage


def _item(org: Organization, number: int) -> OneOffItem:
    at = datetime(2026, 11, 20, tzinfo=UTC)
    return OneOffItem(
        org_id=org.id,
        idempotency_key=f"item-{number}",
        request_sha256=b"",
        description=f"Item {number}",
        amount_minor=ITEM_MINOR + number,
        currency=Currency.USD,
        incurred_at=at,
        recorded_at=at,
    )
