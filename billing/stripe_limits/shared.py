"""The buckets of all workers, in Redis: each answer is one script, so nobody comes in between.

`now` is an argument, like everywhere: Redis has a clock too, and it is not ours. The figures are
those of `buckets`; times travel as whole microseconds, which a double holds exactly.
"""

import math
from collections.abc import Sequence

from redis.asyncio import Redis

from billing.stripe_limits.buckets import (
    PAUSE_FIRST,
    PAUSE_MAX,
    SKEW_MAX,
    STRIKES_FORGOTTEN_AFTER,
    WAIT_MIN,
)
from billing.stripe_limits.lanes import Lane
from billing.stripe_limits.rates import Rate

_MICROSECONDS = 1_000_000
_KEPT_SECONDS = 600
"""An idle bucket is full within seconds; what outlives this is a worker's name for it only."""

_TAKE = f"""
local now, left, wait, found = tonumber(ARGV[1]), tonumber(ARGV[2]), 0, {{}}
for i, key in ipairs(KEYS) do
  local rate, burst = tonumber(ARGV[2 * i + 1]) / 1e6, tonumber(ARGV[2 * i + 2])
  local kept = redis.call('HMGET', key, 'tokens', 'at', 'paused_until')
  local tokens, at = tonumber(kept[1]) or burst, tonumber(kept[2]) or now
  if at - now > {SKEW_MAX}e6 then
    at = now
    redis.call('HSET', key, 'at', ARGV[1])
  end
  if now > at then
    tokens = math.min(burst, tokens + (now - at) * rate)
    at = now
  end
  local missing = 1 + left * (burst - 1) - tokens
  if missing > 0 then wait = math.max(wait, {WAIT_MIN}e6, math.ceil(missing / rate)) end
  local pause = (tonumber(kept[3]) or 0) - now
  if pause > 0 and pause <= {PAUSE_MAX}e6 then wait = math.max(wait, pause) end
  found[i] = {{tokens, at}}
end
if wait == 0 then
  for i, key in ipairs(KEYS) do
    redis.call('HSET', key, 'tokens', string.format('%.9f', found[i][1] - 1),
      'at', string.format('%.0f', found[i][2]))
    redis.call('EXPIRE', key, {_KEPT_SECONDS})
  end
end
return wait
"""

_PAUSE = f"""
local now, luck, least = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local kept = redis.call('HMGET', KEYS[1], 'paused_until', 'strikes')
local until_, strikes = tonumber(kept[1]) or 0, tonumber(kept[2]) or 0
if until_ - now > 0 and until_ - now <= {PAUSE_MAX}e6 then return 0 end
if math.abs(now - until_) > {STRIKES_FORGOTTEN_AFTER}e6 then strikes = 0 end
local most = math.min({PAUSE_MAX}e6, {PAUSE_FIRST}e6 * 2 ^ strikes)
until_ = now + math.min({PAUSE_MAX}e6, math.max(luck * most, least))
redis.call('HSET', KEYS[1], 'paused_until', string.format('%.0f', until_), 'strikes', strikes + 1)
redis.call('EXPIRE', KEYS[1], {_KEPT_SECONDS})
return 0
"""


class SharedBuckets:
    """Raises what Redis raises when it is away; the caller has a bucket of its own for then."""

    def __init__(self, redis: Redis, mode: str) -> None:
        self._take = redis.register_script(_TAKE)
        self._pause = redis.register_script(_PAUSE)
        self._mode = mode

    async def take(self, wanted: Sequence[tuple[str, Rate]], lane: Lane, now: float) -> float:
        """One token of each bucket, or of none: seconds to wait before asking again, or 0."""
        figures = [x for _, rate in wanted for x in (rate.per_second, rate.burst)]
        wait = await self._take(
            keys=[self._key(name) for name, _ in wanted],
            args=[_micro(now), lane.value, *figures],
        )
        return int(wait) / _MICROSECONDS

    async def pause(self, name: str, now: float, luck: float, least: float) -> None:
        """Nobody takes from this bucket for a while."""
        args = [_micro(now), luck, _micro(least)]
        await self._pause(keys=[self._key(name)], args=args)

    def _key(self, name: str) -> str:
        """In one slot of a cluster, for one script takes from two buckets."""
        return f"rl:{{stripe-{self._mode}}}:{name}"


def _micro(seconds: float) -> int:
    return math.ceil(seconds * _MICROSECONDS)
