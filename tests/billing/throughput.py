"""How fast a month's close reaches Stripe: so many invoices, two workers, Stripe's limits."""

from dataclasses import dataclass, replace

from billing.runtime import Runtime
from billing.settings import Settings
from billing.stripe_limits import StripeLimits
from sandbox.stripe.app import FakeStripe
from sandbox.stripe.limits import Limits
from tests.billing.many import AMOUNTS, many_issued_invoices
from tests.billing.pushing import held
from tests.billing.workers import workers
from tests.world import Clock

LIMITS = Limits(global_per_second=100, endpoint_per_second=25, locks=True)
EACH = 2
"""Invoices of one organization: those are written one after the other."""


@dataclass(frozen=True, slots=True)
class Figures:
    """`seconds` are virtual; the rate is of one endpoint, which binds: 80 % of 25 a second."""

    invoices: int
    seconds: float
    calls: int
    refused: int

    @property
    def share_of_rate(self) -> float:
        """Of what we allow ourselves."""
        return self.invoices / self.seconds / (25 * 0.8)

    @property
    def refused_share(self) -> float:
        """Of all calls, those answered 429."""
        return self.refused / self.calls

    def __str__(self) -> str:
        return (
            f"{self.invoices} invoices in {self.seconds:.1f} virtual s:"
            f" {self.share_of_rate:.1%} of the rate, {self.refused} of {self.calls} calls refused"
        )


def limited(settings: Settings) -> Settings:
    """With the limits of a live account, as the fake has them."""
    limits = StripeLimits(global_per_second=100, endpoint_per_second=25)
    return replace(settings, stripe_limits=limits)


async def measured(runtime: Runtime, fake: FakeStripe, clock: Clock, invoices: int) -> Figures:
    """Push so many; raises `AssertionError` unless each is there once, whole."""
    fake.world.limits = LIMITS
    ids = await many_issued_invoices(runtime, invoices // EACH, EACH, clock.at)
    began = clock.at
    async with workers(limited(runtime.settings), fake, clock) as both:
        await both.push_everything()
    there = held(fake)
    assert sorted(x.metadata["invoice_id"] for x in there) == sorted(map(str, ids))
    assert {(x.status, x.total, len(x.lines)) for x in there} == {
        ("open", sum(AMOUNTS), len(AMOUNTS))
    }
    return Figures(
        invoices,
        (clock.at - began).total_seconds(),
        fake.world.calls.total(),
        fake.world.traffic.refused.total(),
    )
