"""How fast Stripe is asked: buckets, lanes, pauses, places, and a Redis that is away."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from billing.runtime import Runtime, limiter_for, open_redis
from billing.stripe_limits import Lane, Limiter, Paced, StripeLimits, in_lane
from billing.stripe_limits.alone import SHARE_ALONE, OwnBuckets
from billing.stripe_limits.limiter import Answered
from billing.stripe_limits.rates import Rate
from billing.stripe_limits.shared import SharedBuckets
from tests.virtual_time import VirtualTime
from tests.world import Clock

CREATE, PAY = "POST /v1/invoices", "POST /v1/invoices/{id}/pay"
LIVE = StripeLimits(global_per_second=100, endpoint_per_second=25)
REFUSED = Answered(429, {"stripe-rate-limited-reason": "endpoint-rate"})
NOBODY = "redis://127.0.0.1:9/0"


@dataclass(slots=True)
class Desk:
    """A limiter in virtual time, and when its calls were let through."""

    limiter: Limiter
    time: VirtualTime
    clock: Clock
    passed: list[tuple[float, str]] = field(default_factory=list)
    began: float = 0.0

    async def call(self, operation: str = CREATE, lane: Lane = Lane.MONTH_CLOSE) -> None:
        with in_lane(lane):
            async with self.limiter.turn(operation):
                self.passed.append((self.clock.at.timestamp() - self.began, lane.name))

    async def calls(self, count: int, operation: str = CREATE) -> float:
        """One after the other; the seconds they took."""
        began = self.clock.at
        await self.time.run(self._calls(count, operation))
        return (self.clock.at - began).total_seconds()

    async def _calls(self, count: int, operation: str) -> None:
        for _ in range(count):
            await self.call(operation)


@asynccontextmanager
async def a_desk(
    runtime: Runtime, clock: Clock, limits: StripeLimits = LIVE, redis_url: str | None = None
) -> AsyncIterator[Desk]:
    url = redis_url or runtime.settings.redis_url
    given_ = replace(runtime.settings, stripe_limits=limits, redis_url=url)
    redis = open_redis(given_)
    time = VirtualTime(clock, (), (redis,))
    limiter = replace(limiter_for(given_, redis, clock), sleep=time.sleep, luck=lambda: 1.0)
    yield Desk(limiter, time, clock, began=clock.at.timestamp())
    await redis.aclose()


@pytest.fixture
async def desk(runtime: Runtime, clock: Clock) -> AsyncIterator[Desk]:
    async with a_desk(runtime, clock) as found:
        yield found


async def test_calls_come_at_four_fifths_of_the_limit(desk: Desk) -> None:
    await desk.calls(20)

    assert await desk.calls(100) == pytest.approx(100 / 20, rel=0.01)


async def test_no_second_has_more_calls_than_stripe_allows(desk: Desk) -> None:
    await desk.calls(100)

    instants = [at for at, _ in desk.passed]
    assert max(sum(start <= at < start + 1 for at in instants) for start in instants) <= 25


async def test_the_account_has_a_limit_beside_those_of_its_endpoints(
    runtime: Runtime, clock: Clock
) -> None:
    limits = StripeLimits(global_per_second=25, endpoint_per_second=25)
    async with a_desk(runtime, clock, limits) as desk:
        began = clock.at

        async def both() -> None:
            for _ in range(50):
                await desk.call(CREATE)
                await desk.call(PAY)

        await desk.time.run(both())
        assert (clock.at - began).total_seconds() == pytest.approx(100 / 20, rel=0.05)


async def test_two_processes_keep_to_one_rate(runtime: Runtime, clock: Clock) -> None:
    async with a_desk(runtime, clock) as one, a_desk(runtime, clock) as other:
        other.limiter.sleep = one.time.sleep
        one.time.redis += other.time.redis

        async def both() -> None:
            await asyncio.gather(*(x.call() for x in (one, other) for _ in range(30)))

        began = clock.at
        await one.time.run(both())
    assert (clock.at - began).total_seconds() == pytest.approx(60 / 20, abs=0.25)


async def test_a_person_never_waits_behind_the_months_close(desk: Desk) -> None:
    async def busy() -> None:
        closing = [asyncio.create_task(desk.call()) for _ in range(60)]
        await desk.time.sleep(1)
        for _ in range(2):
            await desk.call(lane=Lane.INTERACTIVE)
        await asyncio.gather(*closing)

    await desk.time.run(busy())

    assert [at for at, lane in desk.passed if lane == "INTERACTIVE"] == [1.0, 1.0]
    assert max(at for at, _ in desk.passed) == pytest.approx(60 / 20, abs=0.3), "nothing is wasted"


async def test_what_webhooks_ask_for_goes_before_the_months_close(desk: Desk) -> None:
    async def busy() -> None:
        await asyncio.gather(
            *(desk.call() for _ in range(40)),
            *(desk.call(lane=Lane.REFETCH) for _ in range(10)),
        )

    await desk.time.run(busy())

    last = {lane: max(at for at, x in desk.passed if x == lane) for _, lane in desk.passed}
    assert last["REFETCH"] < last["MONTH_CLOSE"] / 3


async def test_a_429_pauses_its_endpoint_and_no_other(desk: Desk) -> None:
    await desk.limiter.answered(CREATE, REFUSED)
    await desk.calls(1, PAY)
    await desk.calls(1, CREATE)

    assert [at for at, _ in desk.passed] == [0.0, 1.0]


async def test_a_429_that_is_about_everything_pauses_everything(desk: Desk) -> None:
    reason = {"stripe-rate-limited-reason": "global-rate"}
    await desk.limiter.answered(CREATE, Answered(429, reason))
    await desk.calls(1, PAY)

    assert desk.passed[0][0] == 1.0


async def test_pauses_double_up_to_a_minute_and_are_forgotten(desk: Desk) -> None:
    pauses: list[timedelta] = []
    for _ in range(8):
        await desk.limiter.answered(CREATE, REFUSED)
        with pytest.raises(Paced) if len(pauses) > 2 else nullcontext() as refused:
            began = desk.clock.at
            await desk.calls(1)
        pauses.append(refused.value.retry_after if refused else desk.clock.at - began)
        desk.clock.advance(pauses[-1] if refused else timedelta(0))
    assert [x.total_seconds() for x in pauses] == [1, 2, 4, 8, 16, 32, 60, 60]

    desk.clock.advance(timedelta(minutes=2))
    await desk.limiter.answered(CREATE, REFUSED)
    assert await desk.calls(1) == 1


async def test_calls_refused_together_are_one_refusal(desk: Desk) -> None:
    for _ in range(5):
        await desk.limiter.answered(CREATE, REFUSED)

    assert await desk.calls(1) == 1


async def test_a_retry_after_is_kept_to_if_stripe_ever_sends_one(desk: Desk) -> None:
    await desk.limiter.answered(CREATE, Answered(429, {"retry-after": "3"}))

    assert await desk.calls(1) == 3


async def test_who_would_wait_long_is_told_to_come_back(desk: Desk) -> None:
    await desk.limiter.answered(CREATE, Answered(429, {"retry-after": "30"}))
    with pytest.raises(Paced) as refused:
        await desk.calls(1)

    assert (refused.value.is_rate_limit, refused.value.code) == (True, "STRIPE_PACED")
    assert refused.value.retry_after == timedelta(seconds=30)
    assert desk.passed == []


async def test_nobody_waits_long_behind_others_either(desk: Desk) -> None:
    async def many() -> Sequence[object]:
        return await asyncio.gather(*(desk.call() for _ in range(200)), return_exceptions=True)

    told = await desk.time.run(many())

    assert 100 <= len(desk.passed) < 110, "five seconds' worth and the burst"
    assert {type(x) for x in told if x is not None} == {Paced}


async def test_redis_emptied_costs_a_burst_and_nothing_else(desk: Desk, runtime: Runtime) -> None:
    await desk.calls(50)
    await runtime.nudges.redis.flushall()

    assert await desk.calls(100) == pytest.approx(100 / 20, abs=0.3)


async def test_without_redis_it_goes_on_at_a_fraction_of_the_rate(
    runtime: Runtime, clock: Clock
) -> None:
    async with a_desk(runtime, clock, redis_url=NOBODY) as desk:
        await desk.calls(20)
        assert await desk.calls(20) == pytest.approx(20 / (20 * SHARE_ALONE), rel=0.01)


async def test_a_clock_set_back_stops_nothing(desk: Desk) -> None:
    await desk.calls(10)
    await desk.limiter.answered(CREATE, REFUSED)
    desk.clock.advance(timedelta(days=-30))

    assert await desk.calls(20) == pytest.approx(1, abs=0.3)


acts = st.lists(
    st.tuples(
        st.floats(-0.5, 3),
        st.sampled_from(Lane),
        st.booleans(),
        st.integers(0, 1000).map(lambda thousandths: thousandths / 1000 + 0.000_37),
    ),
    max_size=40,
)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(acts)
@example([(by, Lane.INTERACTIVE, False, 0.0) for by in (0.0, 0.0, -0.25, 0.375, -0.5)])
async def test_the_script_in_redis_keeps_the_rule(
    runtime: Runtime, steps: Sequence[tuple[float, Lane, bool, float]]
) -> None:
    redis = runtime.nudges.redis
    await redis.flushdb()
    shared, own = SharedBuckets(redis, "test"), OwnBuckets(share=1)
    # No token and no pause's end falls on a whole millisecond, as every instant here does: on which
    # side of it a sum of floats comes down is no rule.
    wanted = (("global", Rate(19.3, 5)), (CREATE, Rate(4.1, 3)))
    now = datetime(2026, 11, 10, tzinfo=UTC).timestamp()
    for passed, lane, is_refused, luck in steps:
        now = round(now + passed, 3)
        if is_refused:
            await shared.pause(CREATE, now, luck, 0)
            await own.pause(CREATE, now, luck, 0)
        there, here = await shared.take(wanted, lane, now), await own.take(wanted, lane, now)
        assert there == pytest.approx(here, abs=1e-4)


@pytest.mark.parametrize(
    ("answer", "limit"),
    [
        (Answered(429, {"stripe-rate-limited-reason": "endpoint-concurrency"}), 10),
        (Answered(429, {"stripe-rate-limited-reason": "global-concurrency"}), 10),
        (Answered(429, {}, is_lock_timeout=True), 10),
        (Answered(429, {"stripe-rate-limited-reason": "endpoint-rate"}), 20),
        (Answered(500, {}), 20),
    ],
)
async def test_only_being_crowded_makes_fewer_at_once(
    desk: Desk, answer: Answered, limit: int
) -> None:
    await desk.limiter.answered(CREATE, answer)

    assert desk.limiter.concurrency.limit == limit
