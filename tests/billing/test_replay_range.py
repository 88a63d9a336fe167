"""A range of events that is too large is refused as a whole: part of it is not what was asked."""

from datetime import timedelta

import pytest

from billing.errors import Invalid
from billing.runtime import Runtime
from billing.stripe_events import events_between, replaying
from tests.billing.test_stripe_events import hear, told
from tests.world import Clock


async def test_more_than_can_be_replayed_at_once_is_refused_and_not_cut(
    runtime: Runtime, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replaying, "EVENTS_MAX", 3)
    await hear(runtime, *(told("invoice.paid", f"in_{number}") for number in range(4)))
    since = clock.at - timedelta(hours=1)
    async with runtime.sessions() as session:
        with pytest.raises(Invalid, match="over 3 events: narrow it"):
            await events_between(session, since, clock.at + timedelta(hours=1))
        assert len(await events_between(session, since, clock.at)) == 0

    monkeypatch.setattr(replaying, "EVENTS_MAX", 4)
    async with runtime.sessions() as session:
        assert len(await events_between(session, since, clock.at + timedelta(hours=1))) == 4
