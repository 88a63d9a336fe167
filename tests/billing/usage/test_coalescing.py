"""Requests at once, recorded together: each gets its own answer, and nobody another's fault."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import IntegrityError

from billing.models import Verdict
from billing.runtime import Runtime
from billing.usage import EventVerdict, coalescing
from billing.usage.backlog import AGE_SECONDS_MAX, REQUEST_BYTES, RETRY_AFTER, Backlog, Overloaded
from billing.usage.coalescing import SMALL_EVENTS_MAX, WAIT_SECONDS_MAX, WRITERS_MAX, Coalescer
from billing.usage.store import Delivery, record_deliveries
from tests.billing.usage.conftest import Usage, a_delivery, a_key, an_event
from tests.billing.usage.locks import somebody_waits

SECONDS_MAX = 20
ACCEPTED, DUPLICATE, _, REJECTED = Verdict


def large(name: str) -> Delivery:
    """One that is recorded by itself."""
    return a_delivery(*(an_event(id=f"{name}-{n}") for n in range(SMALL_EVENTS_MAX + 1)))


@dataclass(slots=True)
class Requests:
    """Requests under way, each a task as in the web process."""

    usage: Usage
    coalescer: Coalescer
    tasks: list[asyncio.Task[Sequence[EventVerdict]]] = field(default_factory=list)

    def send(
        self, *deliveries: Delivery, after: timedelta = timedelta(0)
    ) -> list[asyncio.Task[Sequence[EventVerdict]]]:
        now = self.usage.clock.at + after
        sent = [
            asyncio.create_task(self.coalescer.record(self.usage.runtime, one, now=now))
            for one in deliveries
        ]
        self.tasks += sent
        return sent

    async def answers(self) -> list[list[Verdict] | BaseException]:
        """What became of each."""
        async with asyncio.timeout(SECONDS_MAX):
            found = await asyncio.gather(*self.tasks, return_exceptions=True)
        return [
            one if isinstance(one, BaseException) else [verdict.verdict for verdict in one]
            for one in found
        ]


@pytest.fixture
def requests(usage: Usage) -> Requests:
    return Requests(usage, Coalescer())


@contextmanager
def commits(usage: Usage) -> Iterator[list[object]]:
    """Grows with every transaction that commits."""
    seen: list[object] = []

    def note(connection: object) -> None:
        seen.append(connection)

    event.listen(usage.runtime.engine.sync_engine, "commit", note)
    yield seen
    event.remove(usage.runtime.engine.sync_engine, "commit", note)


@asynccontextmanager
async def nothing_written(usage: Usage) -> AsyncIterator[None]:
    """Whoever records waits until the block ends."""
    async with usage.runtime.sessions.begin() as session:
        await session.execute(text("LOCK TABLE usage_identities IN EXCLUSIVE MODE"))
        yield


@asynccontextmanager
async def poisonous_source(usage: Usage) -> AsyncIterator[None]:
    """The database refuses whatever comes from the source `poison`."""
    alter = "ALTER TABLE usage_sources {} CONSTRAINT no_poison {}"
    async with usage.runtime.engine.begin() as connection:
        await connection.execute(text(alter.format("ADD", "CHECK (source <> 'poison')")))
    yield
    async with usage.runtime.engine.begin() as connection:
        await connection.execute(text(alter.format("DROP", "")))


async def test_requests_at_once_share_a_transaction(requests: Requests, usage: Usage) -> None:
    with commits(usage) as seen:
        requests.send(*(a_delivery(an_event(id=f"e{n}")) for n in range(50)))
        answers = await requests.answers()

    assert answers == [[ACCEPTED]] * 50
    assert len(await usage.events()) == 50
    assert len(seen) == 1


async def test_each_gets_the_verdicts_of_its_own(requests: Requests, usage: Usage) -> None:
    bound = a_key(usage.globex.id)
    requests.send(
        a_delivery(an_event(), an_event(id="e2")),
        a_delivery(viewer=bound),
        a_delivery(an_event(id="e3"), an_event(id="e4", subject="globex"), viewer=bound),
        a_delivery(an_event(), "no event"),
    )

    assert await requests.answers() == [
        [ACCEPTED, ACCEPTED],
        [],
        [REJECTED, ACCEPTED],
        [DUPLICATE, REJECTED],
    ]


async def test_what_waited_is_recorded_together(requests: Requests, usage: Usage) -> None:
    with commits(usage) as seen:
        async with nothing_written(usage):
            for number in range(10):
                requests.send(a_delivery(an_event(id=f"e{number}")))
                await asyncio.sleep(0)
            await somebody_waits(usage.runtime, 1)
        assert await requests.answers() == [[ACCEPTED]] * 10

    assert len(seen) <= 1 + 2 + 1, "the lock's, one for each writer, and one for those who waited"


async def test_large_requests_have_few_connections(requests: Requests, usage: Usage) -> None:
    async with nothing_written(usage):
        requests.send(*(large(f"large{n}") for n in range(WRITERS_MAX + 2)))
        await somebody_waits(usage.runtime, WRITERS_MAX)
        checked_out = usage.runtime.engine.sync_engine.pool.checkedout()  # type: ignore[attr-defined]

    assert checked_out == WRITERS_MAX + 1, "the lock's as well"
    whole = [ACCEPTED] * (SMALL_EVENTS_MAX + 1)
    assert await requests.answers() == [whole] * (WRITERS_MAX + 2)
    assert requests.coalescer.backlog.event_count == 0


async def test_a_request_that_fails_fails_alone(requests: Requests, usage: Usage) -> None:
    async with poisonous_source(usage):
        requests.send(
            *(a_delivery(an_event(id=f"e{n}")) for n in range(3)),
            a_delivery(an_event(id="bad", source="poison")),
            *(a_delivery(an_event(id=f"e{n}")) for n in range(3, 6)),
        )
        answers = await requests.answers()

    failed = answers.pop(3)
    assert isinstance(failed, IntegrityError)
    assert answers == [[ACCEPTED]] * 6
    assert {one.external_id for one in await usage.events()} == {f"e{n}" for n in range(6)}


async def test_a_caller_who_leaves_takes_nobody_along(requests: Requests, usage: Usage) -> None:
    async with nothing_written(usage):
        [under_way, other] = requests.send(
            a_delivery(an_event(id="a")), a_delivery(an_event(id="b"))
        )
        await somebody_waits(usage.runtime)
        [waiting, *_] = requests.send(*(large(f"large{n}") for n in range(WRITERS_MAX + 1)))
        await asyncio.sleep(0)
        under_way.cancel()
        waiting.cancel()
    answers = await requests.answers()
    requests.tasks = requests.send(a_delivery(an_event(id="later")))

    assert [type(one) for one in answers] == [asyncio.CancelledError, list] * 1 + [
        asyncio.CancelledError
    ] + [list] * WRITERS_MAX
    assert other.result()[0].verdict is ACCEPTED
    assert await requests.answers() == [[ACCEPTED]]
    assert requests.coalescer.backlog.event_count == 0


async def test_an_event_without_time_is_counted_in_the_hour_it_came(
    requests: Requests, usage: Usage
) -> None:
    requests.send(a_delivery(an_event(id="before", time=None)), after=timedelta(minutes=59))
    requests.send(a_delivery(an_event(id="after", time=None)), after=timedelta(minutes=60))
    await requests.answers()

    assert sorted(await usage.totals()) == [
        "egress_gb app=web region=eu 14h",
        "egress_gb app=web region=eu 15h",
    ]


async def test_worlds_are_not_mixed(
    requests: Requests, usage: Usage, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Requests(replace(usage, runtime=replace(usage.runtime)), requests.coalescer)
    flights: list[tuple[Runtime, int]] = []
    real = record_deliveries

    async def watched(
        runtime: Runtime, deliveries: Sequence[Delivery], *, now: datetime
    ) -> list[Sequence[EventVerdict]]:
        flights.append((runtime, len(deliveries)))
        return await real(runtime, deliveries, now=now)

    monkeypatch.setattr(coalescing, "record_deliveries", watched)
    requests.send(a_delivery(an_event(id="a")))
    other.send(a_delivery(an_event(id="b")))
    assert [*await requests.answers(), *await other.answers()] == [[ACCEPTED]] * 2

    assert flights == [(usage.runtime, 1), (other.usage.runtime, 1)]


async def test_a_database_that_hangs_is_given_up(usage: Usage) -> None:
    requests = Requests(usage, Coalescer(flight_seconds=0.1))
    async with nothing_written(usage):
        requests.send(a_delivery(an_event(id="a")), a_delivery(an_event(id="b")), large("c"))
        assert [type(one) for one in await requests.answers()] == [TimeoutError] * 3
    assert await usage.events() == []
    assert requests.coalescer.backlog.event_count == 0

    again = Requests(usage, Coalescer())
    again.send(a_delivery(an_event(id="a")), a_delivery(an_event(id="b")))
    assert await again.answers() == [[ACCEPTED]] * 2


async def test_no_more_waits_than_there_is_room_for(usage: Usage) -> None:
    backlog = Backlog(events_max=3)
    requests = Requests(usage, Coalescer(backlog))
    async with nothing_written(usage):
        requests.send(*(a_delivery(an_event(id=f"e{n}")) for n in range(5)))
        await somebody_waits(usage.runtime)
        with pytest.raises(Overloaded) as refused:
            backlog.admit(0)
        assert refused.value.retry_after == RETRY_AFTER

    answers = await requests.answers()
    assert answers[:3] == [[ACCEPTED]] * 3
    assert [type(one) for one in answers[3:]] == [Overloaded] * 2
    requests.tasks = requests.send(large("larger than the backlog, but alone in it"))
    assert await requests.answers() == [[ACCEPTED] * (SMALL_EVENTS_MAX + 1)]
    backlog.admit(0).leave()


@dataclass(slots=True)
class Stopwatch:
    """A monotonic clock set by hand."""

    seconds: float = 0

    def __call__(self) -> float:
        return self.seconds


async def test_while_the_oldest_waits_too_long_nobody_is_admitted(usage: Usage) -> None:
    clock = Stopwatch()
    backlog = Backlog(clock=clock)
    requests = Requests(usage, Coalescer(backlog))
    async with nothing_written(usage):
        requests.send(*(large(f"large{n}") for n in range(WRITERS_MAX)))
        await somebody_waits(usage.runtime, WRITERS_MAX)
        requests.send(a_delivery(an_event(id="given up")))
        await asyncio.sleep(0)
        backlog.admit(0).leave()
        clock.seconds += AGE_SECONDS_MAX + 1
        with pytest.raises(Overloaded):
            backlog.admit(0)
        clock.seconds += WAIT_SECONDS_MAX

    answers: Sequence[object] = await requests.answers()
    assert isinstance(answers[-1], Overloaded)
    assert len(await usage.events()) == WRITERS_MAX * (SMALL_EVENTS_MAX + 1)
    backlog.admit(0).leave()


def test_bytes_are_given_back() -> None:
    backlog = Backlog(bytes_max=3 * REQUEST_BYTES)
    first = backlog.admit(REQUEST_BYTES)
    with pytest.raises(Overloaded):
        backlog.admit(1)
    with pytest.raises(Overloaded):
        first.grow(REQUEST_BYTES + 1)
    first.grow(REQUEST_BYTES)
    first.leave()
    first.leave()

    assert backlog.size_bytes == 0
