"""The buckets of one process, for while Redis is away: a fraction of the rate, and never nothing.

How many other processes are in the same position nobody knows, so each takes little.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from billing.stripe_limits.buckets import Bucket, in_time, paused, refilled, wait_for
from billing.stripe_limits.lanes import Lane
from billing.stripe_limits.rates import Rate

SHARE_ALONE = 0.25
"""Of our rate: four processes without Redis are together as fast as all of them with it."""


@dataclass(slots=True)
class OwnBuckets:
    """The same rule as in Redis, in memory."""

    share: float = SHARE_ALONE
    _buckets: dict[str, Bucket] = field(default_factory=dict)

    async def take(self, wanted: Sequence[tuple[str, Rate]], lane: Lane, now: float) -> float:
        """One token of each bucket, or of none: seconds to wait before asking again, or 0."""
        rates = {
            name: replace(rate, per_second=rate.per_second * self.share) for name, rate in wanted
        }
        kept = {name: in_time(self._bucket(name, rates[name], now), now) for name in rates}
        found = {name: refilled(kept[name], rates[name], now) for name in rates}
        self._buckets |= kept  # whoever has to wait leaves no other trace
        wait = max(wait_for(found[name], rates[name], lane, now) for name in rates)
        if not wait:
            self._buckets |= {
                name: replace(bucket, tokens=bucket.tokens - 1) for name, bucket in found.items()
            }
        return wait

    async def pause(self, name: str, now: float, luck: float, least: float) -> None:
        """Nobody takes from this bucket for a while."""
        bucket = self._buckets.get(name, Bucket(tokens=math.inf, at=now))
        self._buckets[name] = paused(bucket, now, luck, least)

    def _bucket(self, name: str, rate: Rate, now: float) -> Bucket:
        return self._buckets.get(name, Bucket(tokens=rate.burst, at=now))
