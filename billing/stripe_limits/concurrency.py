"""How many calls are under way at once: more while all goes well, half when Stripe is crowded."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

START = 20
MOST = 100
CLEAN_SECONDS = 10.0
HALVED_ONCE_IN_SECONDS = 1.0
"""Calls that were under way together and are refused together are one refusal."""


@dataclass(slots=True)
class Concurrency:
    """Of one process. Stripe does not say what its limit is, so this looks for it."""

    limit: int = START
    _busy: int = 0
    _clean_since: float | None = None
    _halved_at: float | None = None
    _waiting: deque[asyncio.Future[None]] = field(default_factory=deque)

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Wait for a place, first come first served, and have it for a while."""
        while self._busy >= self.limit:
            await self._woken()
        self._busy += 1
        try:
            yield
        finally:
            self._busy -= 1
            self._wake()

    def went_well(self, now: float) -> None:
        """One more place after every ten seconds without a refusal."""
        since = self._clean_since
        if since is None or since > now:  # the first call, or the clock was set back
            self._clean_since = now
        elif now - since >= CLEAN_SECONDS:
            self.limit, self._clean_since = min(MOST, self.limit + 1), now
            self._wake()

    def was_crowded(self, now: float) -> None:
        """Half as many; those under way end as they would have."""
        self._clean_since = now
        since = self._halved_at
        if since is None or not 0 <= now - since < HALVED_ONCE_IN_SECONDS:
            self.limit, self._halved_at = max(1, self.limit // 2), now

    async def _woken(self) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
            else:
                self._wake()  # the place that was meant for us
            raise

    def _wake(self) -> None:
        free = self.limit - self._busy
        while free > 0 and self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():  # else it was cancelled, and has not run since
                waiter.set_result(None)
                free -= 1
