"""The fan-out by itself: what is computed when, and for whom. Redis is real, figures are numbers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field, replace

import pytest

from billing.ids import OrgId, new_id
from billing.runtime import Nudges, Runtime, open_redis
from web.live import Live, Pace

QUICK = Pace(push=0.01, look=0.05, listen=0.02, reconnect=0.01)
PATIENT = Pace(push=0.01, look=3600, listen=0.02, reconnect=0.01)
"""Looks by itself once an hour: whatever comes sooner was heard from Redis."""

ACME = OrgId(new_id())


@dataclass(slots=True)
class Figures:
    """Counts how often it is asked; fails, or takes its time, when told to."""

    asked: int = 0
    fails: bool = False
    may_go_on: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, _org_id: OrgId, _before: int | None) -> int:
        self.asked += 1
        if self.fails:
            raise OSError("the database is away")
        await self.may_go_on.wait()
        return self.asked


@pytest.fixture
def figures() -> Figures:
    ready = Figures()
    ready.may_go_on.set()
    return ready


async def heard(live: Live[int], runtime: Runtime, watcher: AsyncIterator[int]) -> int:
    """The next figures, nudging until the ear has subscribed."""
    following = asyncio.ensure_future(anext(watcher))
    async with asyncio.timeout(10):
        while not following.done():
            await runtime.nudges.moved([ACME])
            await asyncio.wait([following], timeout=0.02)
    return await following


async def test_what_moves_is_computed_again_and_once_for_all(
    runtime: Runtime, figures: Figures
) -> None:
    live = Live(runtime, figures, PATIENT)
    async with (
        live.running(),
        aclosing(live.figures(ACME)) as one,
        aclosing(live.figures(ACME)) as other,
    ):
        first = await asyncio.gather(anext(one), anext(other))
        assert first[0] == first[1]
        again = await asyncio.gather(heard(live, runtime, one), anext(other))
        assert again[0] == again[1] > first[0]


async def test_another_organizations_news_are_not_ours(runtime: Runtime, figures: Figures) -> None:
    live = Live(runtime, figures, PATIENT)
    async with live.running(), aclosing(live.figures(ACME)) as watcher:
        await anext(watcher)
        await heard(live, runtime, watcher)
        asked = figures.asked
        await runtime.nudges.redis.publish("live", "not an id")
        await runtime.nudges.moved([OrgId(new_id())])
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                while figures.asked <= asked + 1:  # one nudge of `heard` may still be on its way
                    await asyncio.sleep(0.01)


async def test_a_slow_reader_gets_the_newest_only(runtime: Runtime, figures: Figures) -> None:
    live = Live(runtime, figures, QUICK)
    async with live.running(), aclosing(live.figures(ACME)) as slow:
        seen = await anext(slow)
        async with asyncio.timeout(10):
            while figures.asked < seen + 5:
                await asyncio.sleep(0.01)
        assert await anext(slow) >= seen + 4, "nothing was kept for it in between"


async def test_without_redis_feeds_look_by_themselves(runtime: Runtime, figures: Figures) -> None:
    redis = open_redis(replace(runtime.settings, redis_url="redis://127.0.0.1:9/0"))
    alone = replace(runtime, nudges=Nudges(redis))

    live = Live(alone, figures, QUICK)
    async with live.running(), aclosing(live.figures(ACME)) as watcher:
        assert await anext(watcher) < await anext(watcher) < await anext(watcher)
    await redis.aclose()


async def test_the_ear_comes_back_when_redis_does(runtime: Runtime, figures: Figures) -> None:
    live = Live(runtime, figures, PATIENT)
    async with live.running(), aclosing(live.figures(ACME)) as watcher:
        await anext(watcher)
        await heard(live, runtime, watcher)
        await runtime.nudges.redis.execute_command("CLIENT", "KILL", "TYPE", "PUBSUB")
        before = figures.asked
        assert await heard(live, runtime, watcher) > before


async def test_a_failure_keeps_the_last_figures_and_is_tried_again(
    runtime: Runtime, figures: Figures, caplog: pytest.LogCaptureFixture
) -> None:
    live = Live(runtime, figures, QUICK)
    async with live.running(), aclosing(live.figures(ACME)) as watcher:
        await anext(watcher)
        figures.fails = True
        following = asyncio.ensure_future(anext(watcher))
        async with asyncio.timeout(10):
            while "live figures not computed" not in caplog.text:
                await asyncio.sleep(0.01)
        assert not following.done() or following.result()
        figures.fails = False
        await following


async def test_a_feed_ends_with_its_last_watcher(runtime: Runtime, figures: Figures) -> None:
    live = Live(runtime, figures, QUICK)
    async with live.running():
        one, other = live.figures(ACME), live.figures(ACME)
        await asyncio.gather(anext(one), anext(other))
        await one.aclose()
        assert await anext(other)
        await other.aclose()
        asked = figures.asked
        await asyncio.sleep(5 * QUICK.look)
        assert figures.asked == asked


async def test_a_newcomer_gets_figures_of_its_own_time(runtime: Runtime, figures: Figures) -> None:
    live = Live(runtime, figures, PATIENT)
    async with live.running(), aclosing(live.figures(ACME)) as one:
        first = await anext(one)
        async with aclosing(live.figures(ACME)) as newcomer:
            assert await anext(newcomer) > first, "its page may be younger than the first figures"
