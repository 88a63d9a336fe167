"""A world played into the real product: through its doors, on a real database, in order of time."""

from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from random import Random

from sqlalchemy.ext.asyncio import AsyncSession

from billing.accounts import COMMAND_LINE, NewOrganization, create_organization, get_organization
from billing.capping import set_cap
from billing.closing import begin_closing, close_due, close_period_now
from billing.coupons import NewCoupon, create_coupon
from billing.credits import NewGrant, grant_credit
from billing.holds import open_holds, release_hold
from billing.models import InvoiceStatus, Organization
from billing.one_offs import NewOneOff, add_one_off
from billing.price_book import apply_price_book, read_price_book
from billing.rules.money import Currency, Money
from billing.rules.reductions import GrantKind
from billing.runtime import Runtime
from billing.subscribing import cancel_subscription, change_plan, start_subscription
from billing.taxes import set_tax_rate
from billing.usage import incoming_event, record_usage
from billing.usage.void_requests import Voiding, VoidRequest
from billing.usage.voids import void_usage
from tests.reference.periods import period_at_index
from tests.reference.price_book import price_book_of
from tests.reference.world import (
    CapChange,
    Coupon,
    Event,
    Grant,
    OneOff,
    Subscription,
    Void,
    World,
)
from tests.world import Clock

ACTOR = "cli"
AGE_MAX = timedelta(days=34)
GRACE = timedelta(hours=24)
Act = Callable[[], Awaitable[None]]
Told = Callable[[datetime], Awaitable[None]]


@dataclass(frozen=True)
class Happening:
    """What happens when; of ties the lower `rank` comes first, as in the reference."""

    at: datetime
    rank: int
    act: Act


@dataclass
class Player:
    """One world on one empty database."""

    world: World
    runtime: Runtime
    clock: Clock
    rng: Random
    looks_at: Sequence[datetime] = ()
    look: Told | None = None

    async def play(self) -> None:
        """Everything that happens, up to the last close."""
        await self._open()
        last = self.world.closes[-1]
        happenings = sorted(self._happenings(), key=lambda one: (one.at, one.rank))
        deliveries = deque(sorted(self.world.events, key=lambda event: event.recorded_at))
        for happening in happenings:
            if happening.at > last:
                break
            while batch := self._batch(deliveries, happening.at):
                await self._record(batch)
            self.clock.at = happening.at
            await happening.act()

    def _batch(self, deliveries: deque[Event], until: datetime) -> list[Event]:
        """The next ones that are recorded by then: as many as chance and their age allow."""
        batch: list[Event] = []
        while deliveries and deliveries[0].recorded_at <= until:
            oldest = min([event.time for event in batch], default=until)
            is_too_long = deliveries[0].recorded_at - oldest > AGE_MAX
            if batch and (is_too_long or self.rng.random() < 0.1):
                break
            batch.append(deliveries.popleft())
        return batch

    async def _open(self) -> None:
        self.clock.at = self.world.organization.opened_at
        who = self.world.organization
        async with self.runtime.sessions.begin() as session:
            book = read_price_book(price_book_of(self.world))
            await apply_price_book(session, book, actor=ACTOR, now=self.clock.at)
            new = NewOrganization(
                key=who.key,
                slug=who.key,
                name=who.key.title(),
                currency=who.currency,
                billing_email="billing@org.example",
                anchor_day=who.anchor_day,
            )
            org = await create_organization(session, new, actor=ACTOR, now=self.clock.at)
            for number, tax in enumerate(self.world.taxes):
                at = self.clock.at + timedelta(microseconds=number)
                await set_tax_rate(session, org, tax.name, tax.percent, actor=ACTOR, now=at)

    def _happenings(self) -> Iterator[Happening]:
        world = self.world
        yield from self._giving()
        for void in world.voids:
            yield Happening(void.recorded_at, 1, partial(self._void, void))
        for index, at in enumerate(world.closes):
            yield Happening(at, 2, partial(self._close, index))
            if self.rng.random() < 0.5:
                end = period_at_index(world.organization, index).end
                yield Happening(end, 2, self._sweep)
        yield from self._subscribing()
        for change in world.caps:
            yield Happening(change.at, 4, self._with_org(self._cap, change))
        for at in self.looks_at:
            yield Happening(at, 5, partial(self._look, at))

    def _giving(self) -> Iterator[Happening]:
        world = self.world
        for one_off in world.one_offs:
            yield Happening(one_off.recorded_at, 0, self._with_org(self._sell, one_off))
        for coupon in world.coupons:
            yield Happening(coupon.created_at, 0, self._with_org(self._give_coupon, coupon))
        for grant in world.grants:
            yield Happening(grant.created_at, 0, self._with_org(self._grant, grant))

    def _subscribing(self) -> Iterator[Happening]:
        subscriptions = self.world.subscriptions
        changed = {s.changes: s for s in subscriptions if s.changes}
        for one in subscriptions:
            if one.changes is None:
                yield Happening(one.created_at, 3, self._with_org(self._start, one))
            if one.ends_at is None:
                continue
            if one.key in changed:
                new = changed[one.key]
                yield Happening(new.created_at, 3, self._with_org(self._change, one, new))
            else:
                at = one.end_recorded_at or one.ends_at
                yield Happening(at, 2, self._with_org(self._cancel, one))

    def _with_org(self, act: Callable[..., Awaitable[None]], *args: object) -> Act:
        async def run() -> None:
            async with self.runtime.sessions() as session:
                org = await get_organization(session, self.world.organization.key)
            async with self.runtime.sessions.begin() as session:
                await act(session, org, *args)

        return run

    async def _record(self, batch: Sequence[Event]) -> None:
        self.clock.at = batch[-1].recorded_at
        events = [
            incoming_event(
                id=one.id,
                source=one.source,
                type=one.type,
                subject=self.world.organization.key,
                time=one.time,
                data=one.data,
            )
            for one in batch
        ]
        verdicts = await record_usage(self.runtime, events, viewer=COMMAND_LINE, now=self.clock.at)
        refused = [one for one in verdicts if one.verdict == "REJECTED"]
        assert not refused, refused

    async def _void(self, void: Void) -> None:
        wanted = VoidRequest(self.world.organization.key, void.source, void.id)
        [verdict] = await void_usage(
            self.runtime, [wanted], reason="A mistake.", viewer=COMMAND_LINE, now=self.clock.at
        )
        assert verdict.verdict is not Voiding.REJECTED, verdict

    async def _start(self, session: AsyncSession, org: Organization, one: Subscription) -> None:
        await start_subscription(
            session,
            org,
            one.plan,
            one.starts_at,
            actor=ACTOR,
            now=self.clock.at,
            trial_ends_at=one.trial_ends_at,
        )

    async def _change(
        self, session: AsyncSession, org: Organization, old: Subscription, new: Subscription
    ) -> None:
        await change_plan(
            session, org, old.plan, new.plan, at=new.starts_at, actor=ACTOR, now=self.clock.at
        )

    async def _cancel(self, session: AsyncSession, org: Organization, one: Subscription) -> None:
        await cancel_subscription(
            session, org, one.plan, at=one.ends_at, actor=ACTOR, now=self.clock.at
        )

    async def _sell(self, session: AsyncSession, org: Organization, one: OneOff) -> None:
        item = NewOneOff(
            one.key, self._major(one.amount_minor), org.currency, one.key, one.incurred_at
        )
        await add_one_off(session, org, item, actor=ACTOR, now=self.clock.at)

    async def _give_coupon(self, session: AsyncSession, org: Organization, one: Coupon) -> None:
        amount = None if one.amount_minor is None else self._major(one.amount_minor)
        new = NewCoupon(one.name, one.name, one.percent, amount, one.invoices)
        await create_coupon(session, org, new, actor=ACTOR, now=self.clock.at)

    async def _grant(self, session: AsyncSession, org: Organization, one: Grant) -> None:
        new = NewGrant(
            one.name,
            one.name,
            GrantKind(one.kind),
            self._major(one.amount_minor),
            one.scope,
            one.priority,
            one.valid_from,
            one.expires_at,
        )
        await grant_credit(session, org, new, actor=ACTOR, now=self.clock.at)

    async def _cap(self, session: AsyncSession, org: Organization, change: CapChange) -> None:
        amount = None if change.amount_minor is None else self._major(change.amount_minor)
        await set_cap(session, org, amount, actor=ACTOR, now=self.clock.at)

    async def _sweep(self) -> None:
        async with self.runtime.sessions.begin() as session:
            await begin_closing(session, self.clock.at)

    async def _close(self, index: int) -> None:
        """As the sweep does it when the grace is over, as staff do it before; no hold stays."""
        end = period_at_index(self.world.organization, index).end
        by_sweep = self.clock.at >= end + GRACE and self.rng.random() < 0.5
        for _ in range(2):
            if by_sweep:
                report = await close_due(self.runtime)
                assert not report.failed, report.failed
                if not report.held:
                    return
            elif await self._close_now(end):
                return
            await self._release()
        raise AssertionError("held although every hold was released")

    async def _close_now(self, end: datetime) -> bool:
        async with self.runtime.sessions() as session:
            org = await get_organization(session, self.world.organization.key)
        async with self.runtime.sessions.begin() as session:
            invoice = await close_period_now(session, org, end, actor=ACTOR, now=self.clock.at)
            return invoice.status is not InvoiceStatus.CLOSING

    async def _release(self) -> None:
        async with self.runtime.sessions.begin() as session:
            for org, _, hold in await open_holds(session, limit=10):
                await release_hold(
                    session, org, hold.reason, note="Looked at.", actor=ACTOR, now=self.clock.at
                )

    async def _look(self, at: datetime) -> None:
        assert self.look is not None
        await self.look(at)

    def _major(self, minor: int) -> Decimal:
        return Money(minor, Currency(self.world.organization.currency)).major
