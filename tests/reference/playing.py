"""A world played into the real product: through its doors, on a real database, in order of time."""

from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from random import Random

from billing.accounts import COMMAND_LINE, NewOrganization, create_organization, get_organization
from billing.closing import begin_closing, close_due, close_period_now
from billing.holds import open_holds, release_hold
from billing.models import InvoiceStatus
from billing.price_book import apply_price_book, read_price_book
from billing.runtime import Runtime
from billing.usage import incoming_event, record_usage
from billing.usage.void_requests import Voiding, VoidRequest
from billing.usage.voids import void_usage
from tests.reference.acts import ACTOR, Acts
from tests.reference.periods import period_at_index
from tests.reference.price_book import price_book_of
from tests.reference.world import (
    Event,
    Void,
    World,
)
from tests.world import Clock

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

    @property
    def acts(self) -> Acts:
        """What staff do."""
        return Acts(self.world, self.clock)

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
            await create_organization(session, new, actor=ACTOR, now=self.clock.at)

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
            yield Happening(change.at, 4, self._with_org(self.acts.cap, change))
        for at in self.looks_at:
            yield Happening(at, 5, partial(self._look, at))

    def _giving(self) -> Iterator[Happening]:
        world = self.world
        for one_off in world.one_offs:
            yield Happening(one_off.recorded_at, 0, self._with_org(self.acts.sell, one_off))
        for coupon in world.coupons:
            yield Happening(coupon.created_at, 0, self._with_org(self.acts.give_coupon, coupon))
            if coupon.ended_at is not None:
                yield Happening(coupon.ended_at, 0, self._with_org(self.acts.end_coupon, coupon))
        for grant in world.grants:
            yield Happening(grant.created_at, 0, self._with_org(self.acts.grant, grant))
        for tax in world.taxes:
            since = tax.since or world.organization.opened_at
            yield Happening(since, 0, self._with_org(self.acts.tax, tax))
            if tax.until is not None:
                yield Happening(tax.until, 0, self._with_org(self.acts.untax, tax))
        for override in world.overrides:
            yield Happening(override.recorded_at, 3, self._with_org(self.acts.override, override))

    def _subscribing(self) -> Iterator[Happening]:
        subscriptions = self.world.subscriptions
        changed = {s.changes: s for s in subscriptions if s.changes}
        for one in subscriptions:
            if one.changes is None:
                yield Happening(one.created_at, 3, self._with_org(self.acts.start, one))
            if (back := one.resumed) is not None:
                yield Happening(
                    back.recorded_at, 2, self._with_org(self.acts.cancel, one, back.ends_at)
                )
                yield Happening(back.taken_back_at, 2, self._with_org(self.acts.resume, one))
            if one.ends_at is None:
                continue
            if one.key in changed:
                new = changed[one.key]
                yield Happening(new.created_at, 3, self._with_org(self.acts.change, one, new))
            else:
                at = one.end_recorded_at or one.ends_at
                yield Happening(at, 2, self._with_org(self.acts.cancel, one, one.ends_at))

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
