"""One sweep through all that is due: many at a time, until nothing is or Stripe wants a rest."""

import asyncio
from collections import deque
from dataclasses import dataclass, field

from billing.invoice_sync.claiming import Claim, claim_due, release
from billing.invoice_sync.queue import push_invoice
from billing.runtime import Runtime
from billing.stripe_limits import Lane, in_lane

AT_ONCE = 40
"""More than the calls that are under way together: most wait for a token or for the database."""

CLAIMED_AT_ONCE = 10
BUDGET_SECONDS = 120
"""How long one sweep goes on: well under a job's time, and the next one comes soon."""


async def push_due(runtime: Runtime) -> int:
    """Push what is due, in the lane of the month's close; answers how many were tried.

    Where it would be long until our turn at Stripe the sweep ends: the next comes in seconds, and
    what waits needs no worker.
    """
    sweep = _Sweep(runtime, asyncio.get_running_loop().time() + BUDGET_SECONDS)
    with in_lane(Lane.MONTH_CLOSE):
        if not await sweep.claim():
            return 0
        pushers = [asyncio.create_task(sweep.push_one_by_one()) for _ in range(AT_ONCE)]
        try:
            await asyncio.gather(*pushers)
        finally:  # cut off, or one tripped: nobody goes on behind our back
            for pusher in pushers:
                pusher.cancel()
            await asyncio.wait(pushers)
    await release(runtime, sweep.claimed)
    return sweep.tried


@dataclass(slots=True)
class _Sweep:
    """`is_dry`: nothing more is due, at least until one that is under way has ended: then the next
    of its customer is."""

    runtime: Runtime
    deadline: float
    claimed: deque[Claim] = field(default_factory=deque)
    tried: int = 0
    is_dry: bool = False
    is_over: bool = False
    _claiming: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def push_one_by_one(self) -> None:
        """One of many at this."""
        while not self.is_over and (self.claimed or await self.claim()):
            if self.claimed:
                invoice_id, claim = self.claimed.popleft()
                self.tried += 1
                if not await push_invoice(self.runtime, invoice_id, claim):
                    self.is_over = True
                self.is_dry = False

    async def claim(self) -> bool:
        """See to it that something is claimed; False when nothing is due, or it is time to end."""
        async with self._claiming:
            is_late = asyncio.get_running_loop().time() >= self.deadline
            if not self.claimed and not self.is_dry and not is_late:
                self.claimed.extend(await claim_due(self.runtime, CLAIMED_AT_ONCE))
                self.is_dry = len(self.claimed) < CLAIMED_AT_ONCE
            return bool(self.claimed)
