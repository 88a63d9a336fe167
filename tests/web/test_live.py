"""The fan-out by itself: what is computed when, and for whom. Redis is real, figures are counts."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest

from billing.ids import OrgId, new_id
from billing.runtime import LIVE_CHANNEL, Nudges, Runtime, open_redis
from web.live import Live, Pace

QUICK = Pace(push=0.01, look=0.05, listen=0.02, reconnect=0.01)
PATIENT = Pace(push=0.01, look=3600, listen=0.02, reconnect=0.01)
"""Looks by itself once an hour: whatever comes sooner was heard from Redis."""

SECONDS_MAX = 10
ACME = OrgId(new_id())
OTHER = OrgId(new_id())


@dataclass(slots=True)
class Figures:
    """An organization's figures: how often they were computed. The database may be away."""

    computed: int = 0
    is_away: bool = False
    failures: int = 0
    _happened: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def __call__(self, _org_id: OrgId, _before: int | None) -> int:
        async with self._happened:
            self.computed += not self.is_away
            self.failures += self.is_away
            self._happened.notify_all()
        if self.is_away:
            raise OSError("the database is away")
        return self.computed

    async def reach(self, *, computed: int = 0, failures: int = 0) -> None:
        """Wait until they were computed, and failed, so often."""
        async with asyncio.timeout(SECONDS_MAX), self._happened:
            await self._happened.wait_for(
                lambda: self.computed >= computed and self.failures >= failures
            )


@pytest.fixture
def figures() -> Figures:
    return Figures()


async def following(watcher: AsyncGenerator[int]) -> int:
    """What the watcher sees next."""
    async with asyncio.timeout(SECONDS_MAX):
        return await anext(watcher)


@asynccontextmanager
async def hearing(runtime: Runtime, figures: Figures, pace: Pace) -> AsyncIterator[Live[int]]:
    """A fan-out whose ear is at Redis already."""
    async with Live(runtime, figures, pace).running() as live:
        await until_hearing(live)
        yield live


async def until_hearing(live: Live[int]) -> None:
    """Wait for Redis to confirm the subscription."""
    async with asyncio.timeout(SECONDS_MAX):
        while not live.is_hearing:  # noqa: ASYNC110 - nobody else wants to know
            await asyncio.sleep(0.01)


async def test_what_moves_is_computed_again_once_for_all(
    runtime: Runtime, figures: Figures
) -> None:
    async with (
        hearing(runtime, figures, PATIENT) as live,
        aclosing(live.figures(ACME)) as one,
        aclosing(live.figures(ACME)) as other,
    ):
        first = await asyncio.gather(following(one), following(other))
        await runtime.nudges.moved([ACME])
        again = await asyncio.gather(following(one), following(other))

    assert (*first, *again) == (1, 1, 2, 2)


async def test_news_of_others_move_nothing(runtime: Runtime, figures: Figures) -> None:
    async with (
        hearing(runtime, figures, PATIENT) as live,
        aclosing(live.figures(ACME)) as ours,
        aclosing(live.figures(OTHER)) as theirs,
    ):
        await asyncio.gather(following(ours), following(theirs))
        await runtime.nudges.redis.publish(LIVE_CHANNEL, "no id of ours")
        await runtime.nudges.moved([OTHER])
        await following(theirs)

    assert figures.computed == 3


async def test_a_slow_reader_gets_the_newest_only(runtime: Runtime, figures: Figures) -> None:
    live = Live(runtime, figures, QUICK)
    async with live.running(), aclosing(live.figures(ACME)) as slow:
        seen = await following(slow)
        await figures.reach(computed=seen + 5)
        assert await following(slow) >= seen + 4, "nothing was kept for it in between"


async def test_without_redis_feeds_look_by_themselves(runtime: Runtime, figures: Figures) -> None:
    redis = open_redis(replace(runtime.settings, redis_url="redis://127.0.0.1:9/0"))
    live = Live(replace(runtime, nudges=Nudges(redis)), figures, QUICK)

    async with live.running(), aclosing(live.figures(ACME)) as watcher:
        assert await following(watcher) < await following(watcher) < await following(watcher)
    await redis.aclose()


async def test_the_ear_comes_back_after_redis_was_away(runtime: Runtime, figures: Figures) -> None:
    async with (
        hearing(runtime, figures, PATIENT) as live,
        aclosing(live.figures(ACME)) as watcher,
    ):
        assert await following(watcher) == 1
        await runtime.nudges.redis.client_kill_filter(_type="pubsub")
        assert await following(watcher) == 2, "something may have been missed meanwhile"
        await runtime.nudges.moved([ACME])
        assert await following(watcher) == 3


async def test_a_failure_keeps_the_last_figures_and_is_tried_again(
    runtime: Runtime, figures: Figures, caplog: pytest.LogCaptureFixture
) -> None:
    live = Live(runtime, figures, QUICK)
    async with live.running(), aclosing(live.figures(ACME)) as watcher:
        first = await following(watcher)
        figures.is_away = True
        await figures.reach(failures=2)
        figures.is_away = False
        assert await following(watcher) > first
    assert "the database is away" in caplog.text


async def test_a_feed_ends_with_its_last_watcher(runtime: Runtime, figures: Figures) -> None:
    live = Live(runtime, figures, QUICK)
    async with live.running(), aclosing(live.figures(OTHER)) as witness:
        await following(witness)
        one, other = live.figures(ACME), live.figures(ACME)
        await asyncio.gather(following(one), following(other))
        await one.aclose()
        assert await following(other) < await following(other), "somebody watches still"
        await other.aclose()
        assert live.watched == {OTHER}
    assert live.watched == set()


async def test_a_newcomer_gets_figures_of_its_own_time(runtime: Runtime, figures: Figures) -> None:
    live = Live(runtime, figures, PATIENT)
    async with live.running(), aclosing(live.figures(ACME)) as one:
        first = await following(one)
        async with aclosing(live.figures(ACME)) as newcomer:
            assert await following(newcomer) > first, "its page may be younger than those"
