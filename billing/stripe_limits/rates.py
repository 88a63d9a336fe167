"""Stripe's documented limits, and how much of them we use."""

from dataclasses import dataclass

LIVE_PER_SECOND = 100.0
TEST_PER_SECOND = 25.0
ENDPOINT_PER_SECOND = 25.0
SHARE = 0.8
"""Of the documented limits: others use the account too, and a 429 costs more than it saves."""

_BURST_MIN = 2.0


@dataclass(frozen=True, slots=True)
class Rate:
    """One bucket: how fast it fills, and how many calls it lets go at once when it is full."""

    per_second: float
    burst: float

    @classmethod
    def within(cls, limit: float, share: float) -> "Rate":
        """`share` of `limit`; the rest is the burst, so that no second ever exceeds the limit."""
        return cls(limit * share, max(_BURST_MIN, limit * (1 - share)))


@dataclass(frozen=True, slots=True)
class StripeLimits:
    """What Stripe allows, in calls a second: of the account, and of each named operation."""

    global_per_second: float = TEST_PER_SECOND
    endpoint_per_second: float = ENDPOINT_PER_SECOND
    share: float = SHARE

    @property
    def of_all(self) -> Rate:
        """The bucket that every call takes from."""
        return Rate.within(self.global_per_second, self.share)

    @property
    def of_endpoint(self) -> Rate:
        """The bucket of one operation; different ids share it."""
        return Rate.within(self.endpoint_per_second, self.share)
