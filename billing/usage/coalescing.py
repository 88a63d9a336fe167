"""Small requests that come in at once are recorded together, in one transaction.

What arrives while the writer is busy is what its next transaction takes, so a lone request never
waits and many wait for one transaction at most. Each is answered when its own has committed.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from billing.errors import Unavailable
from billing.rules.periods import Period
from billing.runtime import Runtime
from billing.usage.backlog import Backlog, Overloaded
from billing.usage.events import EventVerdict
from billing.usage.store import Delivery, record_deliveries

WRITERS_MAX = 4
"""Transactions at once: measured, two to four connections write the most."""

SMALL_WRITERS_MAX = 2
"""Of small requests: one, for more would only be smaller, unless that one takes long."""

LONG_SECONDS = 0.05
"""For a transaction of small requests: somebody else may be in its way, and not in others'."""

SMALL_EVENTS_MAX = 200
"""More than this is recorded by itself: a hundred events a transaction already cost the least."""

FLIGHT_EVENTS_MAX = 2_000
"""What goes into one transaction, so that nobody waits long for the others in it."""

FLIGHT_SECONDS_MAX = 10.0
"""For a transaction. One of several requests gets half of it, and they share the rest alone."""

WAIT_SECONDS_MAX = 15.0
"""Whoever waits longer has most likely given up, and sends again."""


@dataclass(slots=True, eq=False)
class Passenger:
    """One request's delivery, on its way into the database."""

    runtime: Runtime
    delivery: Delivery
    now: datetime
    verdicts: asyncio.Future[Sequence[EventVerdict]]
    size: int = field(init=False)
    """How many events it brings."""

    def __post_init__(self) -> None:
        """It is asked for again and again while others board."""
        self.size = len(self.delivery.events)

    @property
    def is_small(self) -> bool:
        """Whether it goes together with others."""
        return self.size <= SMALL_EVENTS_MAX

    def may_join(self, first: "Passenger", hour: Period) -> bool:
        """Whether one transaction, and one `now`, serves both: usage is counted by the hour."""
        return (
            self.is_small and first.is_small and self.runtime is first.runtime and self.now in hour
        )

    def arrive(self, verdicts: Sequence[EventVerdict]) -> None:
        """Tell whoever waits, if anybody still does."""
        if not self.verdicts.done():
            self.verdicts.set_result(verdicts)

    def fail(self, error: Exception) -> None:
        """Tell whoever waits, if anybody still does."""
        if not self.verdicts.done():
            self.verdicts.set_exception(error)


class Coalescer:
    """One for each process: whoever waits to be recorded, and the few transactions at once."""

    def __init__(
        self, backlog: Backlog | None = None, *, flight_seconds: float = FLIGHT_SECONDS_MAX
    ) -> None:
        self.backlog = backlog or Backlog()
        self._flight_seconds = flight_seconds
        self._waiting: deque[Passenger] = deque()
        self._writers: set[asyncio.Task[None]] = set()

    async def record(
        self, runtime: Runtime, delivery: Delivery, *, now: datetime
    ) -> Sequence[EventVerdict]:
        """Record one request's events, perhaps together with others'. Durable when it returns.

        Ask `require_write` before. Raises `Overloaded`, or what recording these alone raised.
        A caller that is cancelled takes nobody along; its events may be stored or not.
        """
        verdicts: asyncio.Future[Sequence[EventVerdict]] = (
            asyncio.get_running_loop().create_future()
        )
        passenger = Passenger(runtime, delivery, now, verdicts)
        self.backlog.enter(passenger, passenger.size)
        self._waiting.append(passenger)
        if len(self._writers) < (1 if passenger.is_small else WRITERS_MAX):
            self._start_writer()
        return await verdicts

    def _start_writer(self) -> None:
        self._writers.add(asyncio.create_task(self._write()))

    def _start_another(self) -> None:
        """A transaction takes long, and somebody waits."""
        if self._waiting and len(self._writers) < SMALL_WRITERS_MAX:
            self._start_writer()

    async def _write(self) -> None:
        """Until nobody waits. Nothing is awaited between that and having left."""
        try:
            while flight := self._boarded():
                help_ = asyncio.get_running_loop().call_later(LONG_SECONDS, self._start_another)
                try:
                    await self._fly(flight)
                finally:
                    help_.cancel()
        finally:
            current = asyncio.current_task()
            assert current is not None
            self._writers.discard(current)

    def _boarded(self) -> list[Passenger]:
        """Those at the head of the queue who go into the next transaction."""
        if (first := self._next()) is None:
            return []
        flight = [self._waiting.popleft()]
        size = first.size
        hour = Period.of_hour(first.now)
        while (
            (one := self._next()) is not None
            and one.may_join(first, hour)
            and size + one.size <= FLIGHT_EVENTS_MAX
        ):
            flight.append(self._waiting.popleft())
            size += one.size
        return flight

    def _next(self) -> Passenger | None:
        """Who is first in the queue, once those who gave up have left it."""
        while self._waiting:
            one = self._waiting[0]
            if not one.verdicts.done() and self.backlog.age(one) <= WAIT_SECONDS_MAX:
                return one
            self._land([self._waiting.popleft()], Overloaded())
        return None

    async def _fly(self, flight: Sequence[Passenger]) -> None:
        """Record them; where that fails, each alone, so that nobody pays for another's fault."""
        start = asyncio.get_running_loop().time()
        deadline = start + self._flight_seconds
        joint_deadline = start + self._flight_seconds / min(len(flight), 2)
        error: Exception = Unavailable("The server is stopping; please send it again.")
        try:
            async with asyncio.timeout_at(joint_deadline):
                found = await _recorded(flight)
            for one, verdicts in zip(flight, found, strict=True):
                one.arrive(verdicts)
        except Exception as joint:
            error = joint
            if len(flight) > 1:
                await _fly_alone(flight, deadline)
        finally:
            self._land(flight, error)

    def _land(self, flight: Sequence[Passenger], error: Exception) -> None:
        """Whatever happened, nobody waits on: those without an answer get this one."""
        for one in flight:
            one.fail(error)
            self.backlog.leave(one, one.size)


async def _fly_alone(flight: Sequence[Passenger], deadline: float) -> None:
    for one in flight:
        try:
            async with asyncio.timeout_at(deadline):
                [verdicts] = await _recorded([one])
            one.arrive(verdicts)
        except Exception as error:
            one.fail(error)


async def _recorded(flight: Sequence[Passenger]) -> list[Sequence[EventVerdict]]:
    first = flight[0]
    deliveries = [one.delivery for one in flight]
    return await record_deliveries(first.runtime, deliveries, now=first.now)
