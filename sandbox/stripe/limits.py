"""How fast Stripe lets itself be called: rates, calls at once, and locks on what is written.

Numbers are of docs.stripe.com/rate-limits. There is no Retry-After and nothing that says how much
is left: a caller sees a 429 and, unless an object was locked, the reason in a header.
"""

from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated

import msgspec

from sandbox.stripe.chaos import RateLimitReason
from sandbox.stripe.errors import lock_timeout, rate_limited

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
ONE_CALL = 1_000_000  # buckets count in millionths of a call, so that filling them is exact

Positive = Annotated[int, msgspec.Meta(ge=1)]


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is allowed; None, the default, is without limit.

    Rates are calls per second and allow a second's worth at once. An endpoint is a named operation,
    whatever ids are in its path. `locks` refuses a write to an invoice or a customer while another
    write to it is under way (Stripe waits a while first; here it is refused at once).
    """

    global_per_second: Positive | None = None
    endpoint_per_second: Positive | None = None
    concurrent: Positive | None = None
    endpoint_concurrent: Positive | None = None
    locks: bool = False


UNLIMITED = Limits()
# How many calls Stripe takes at once is not published: set `concurrent` beside these.
PUBLISHED = {
    "live": Limits(global_per_second=100, endpoint_per_second=25, locks=True),
    "sandbox": Limits(global_per_second=25, endpoint_per_second=25, locks=True),
}


@dataclass(slots=True)
class Bucket:
    """The calls that may be made now, in millionths, as of the microsecond `at`."""

    level: int
    at: int

    def fill(self, per_second: int, now: int) -> None:
        """Let time pass; a clock that was set back only stops the filling."""
        filled = self.level + max(0, now - self.at) * per_second
        self.level = min(per_second * ONE_CALL, filled)
        self.at = now


class Traffic:
    """The calls under way and the buckets of those made; `refused` counts the 429s by reason."""

    def __init__(self) -> None:
        self.refused: Counter[str] = Counter()
        self._buckets: dict[str, Bucket] = {}
        self._running: Counter[str] = Counter()
        self._locked: set[str] = set()

    def __getstate__(self) -> dict[str, Counter[str]]:
        """What outlives a restart: no call does, and buckets are full again within a second."""
        return {"refused": self.refused}

    def __setstate__(self, state: dict[str, Counter[str]]) -> None:
        Traffic.__init__(self)
        self.refused = state["refused"]

    @contextmanager
    def admitted(self, limits: Limits, operation: str, instant: datetime) -> Iterator[None]:
        """Let a call in, for as long as the block lasts; raises `StripeError` 429 if it is one too
        many. A refused call takes nothing out of any bucket.
        """
        reason = self._too_fast(limits, operation, instant) or self._too_many(limits, operation)
        if reason is not None:
            self.refused[reason] += 1
            raise rate_limited(reason)
        for bucket in self._limiting(limits, operation):
            self._buckets[bucket].level -= ONE_CALL
        self._running[operation] += 1
        try:
            yield
        finally:
            self._running[operation] -= 1

    @contextmanager
    def writing(self, limits: Limits, ids: Collection[str]) -> Iterator[None]:
        """Hold the locks of these objects; raises `StripeError` (`lock_timeout`) if one is held."""
        if not limits.locks:
            yield
            return
        if held := self._locked.intersection(ids):
            self.refused["lock_timeout"] += 1
            raise lock_timeout(min(held))
        self._locked.update(ids)
        try:
            yield
        finally:
            self._locked.difference_update(ids)

    def _too_fast(
        self, limits: Limits, operation: str, instant: datetime
    ) -> RateLimitReason | None:
        now = (instant - EPOCH) // MICROSECOND
        empty: RateLimitReason | None = None
        for name, (per_second, reason) in self._limiting(limits, operation).items():
            bucket = self._buckets.setdefault(name, Bucket(per_second * ONE_CALL, now))
            bucket.fill(per_second, now)
            if bucket.level < ONE_CALL:
                empty = empty or reason
        return empty

    def _too_many(self, limits: Limits, operation: str) -> RateLimitReason | None:
        if limits.concurrent is not None and self._running.total() >= limits.concurrent:
            return "global-concurrency"
        endpoint = limits.endpoint_concurrent
        if endpoint is not None and self._running[operation] >= endpoint:
            return "endpoint-concurrency"
        return None

    @staticmethod
    def _limiting(limits: Limits, operation: str) -> dict[str, tuple[int, RateLimitReason]]:
        """The buckets a call is taken out of, by name: rate and reason. "" is everybody's."""
        found: dict[str, tuple[int, RateLimitReason]] = {}
        if limits.global_per_second is not None:
            found[""] = (limits.global_per_second, "global-rate")
        if limits.endpoint_per_second is not None:
            found[operation] = (limits.endpoint_per_second, "endpoint-rate")
        return found
