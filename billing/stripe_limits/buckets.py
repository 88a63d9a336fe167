"""The rule of a token bucket with lanes and pauses, as plain arithmetic; `shared` has it in Lua.

Times are seconds on whatever clock the caller reads. A bucket whose last instant is ahead of `now`
stands still; by more than `SKEW_MAX` the clock was set back, and the bucket goes on from `now`.
"""

from dataclasses import dataclass, replace

from billing.stripe_limits.lanes import Lane
from billing.stripe_limits.rates import Rate

WAIT_MIN = 0.001
"""A clock of whole microseconds would never pass less than one of them."""

SKEW_MAX = 5.0
PAUSE_FIRST = 1.0
PAUSE_MAX = 60.0
STRIKES_FORGOTTEN_AFTER = 60.0


@dataclass(frozen=True, slots=True)
class Bucket:
    """`strikes` counts the pauses one after the other; each may be twice as long as the last."""

    tokens: float
    at: float
    paused_until: float = 0.0
    strikes: int = 0


def in_time(bucket: Bucket, now: float) -> Bucket:
    """The same, unless the clock was set back."""
    return replace(bucket, at=now) if bucket.at - now > SKEW_MAX else bucket


def refilled(bucket: Bucket, rate: Rate, now: float) -> Bucket:
    """As it is at `now`, before anybody takes from it."""
    bucket = in_time(bucket, now)
    passed = max(0.0, now - bucket.at)
    tokens = min(rate.burst, bucket.tokens + passed * rate.per_second)
    return replace(bucket, tokens=tokens, at=bucket.at + passed)


def wait_for(bucket: Bucket, rate: Rate, lane: Lane, now: float) -> float:
    """Seconds until a refilled bucket has a token that this lane may take; 0 when it has."""
    missing = 1 + lane.value * (rate.burst - 1) - bucket.tokens
    wait = max(WAIT_MIN, missing / rate.per_second) if missing > 0 else 0.0
    pause = bucket.paused_until - now
    return max(wait, pause) if 0 < pause <= PAUSE_MAX else wait


def paused(bucket: Bucket, now: float, luck: float, least: float = 0.0) -> Bucket:
    """After a 429: up to 1 s, 2 s, 4 s … 60 s, at random between nothing and all of it.

    `luck` is between 0 and 1, `least` what Stripe asked for. Those that were limited together are
    one strike: while a bucket is paused, another 429 is no news.
    """
    if 0 < bucket.paused_until - now <= PAUSE_MAX:
        return bucket
    is_forgotten = abs(now - bucket.paused_until) > STRIKES_FORGOTTEN_AFTER
    strikes = 0 if is_forgotten else bucket.strikes
    most = min(PAUSE_MAX, PAUSE_FIRST * 2**strikes)
    until = now + min(PAUSE_MAX, max(luck * most, least))
    return replace(bucket, paused_until=until, strikes=strikes + 1)
