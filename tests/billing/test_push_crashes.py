"""A worker may die at any call, before it or before its answer, and come back a day later."""

from dataclasses import replace
from datetime import timedelta
from typing import cast

import pytest

from billing.invoice_sync import push_due
from billing.runtime import Runtime
from billing.stripe_protocol import Stripe
from sandbox.stripe.app import FakeStripe
from tests.billing.pushing import an_issued_invoice, assert_exactly_once, until_pushed
from tests.world import Clock


class Crash(BaseException):
    """The worker died here."""


class Dying:
    """Stripe through a worker that dies at the nth call: before it, or before its answer."""

    def __init__(self, inner: Stripe, at: int, *, after: bool) -> None:
        self._inner = inner
        self._left = at
        self._after = after

    def __getattr__(self, name: str) -> object:
        call = getattr(self._inner, name)

        async def dying(*args: object) -> object:
            self._left -= 1
            if self._left == 0 and not self._after:
                raise Crash
            answer = await call(*args)
            if self._left == 0:
                raise Crash
            return answer

        return dying


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at", [1, 2, 3, 4])
@pytest.mark.parametrize("hours", [0, 25])
async def test_a_worker_may_die_at_any_call(
    connected: Runtime, fake: FakeStripe, clock: Clock, at: int, after: bool, hours: int
) -> None:
    invoice_id = await an_issued_invoice(connected)
    dying = replace(connected, stripe=cast(Stripe, Dying(connected.stripe, at, after=after)))
    with pytest.raises(Crash):
        await push_due(dying)
    assert await push_due(connected) == 0, "its lease has not run out"

    clock.advance(timedelta(hours=hours, minutes=6))
    await until_pushed(connected, clock, invoice_id)

    assert_exactly_once(fake, invoice_id, 3494, 2)
    if hours == 0:
        assert len(list(fake.world.customers)) == 1
