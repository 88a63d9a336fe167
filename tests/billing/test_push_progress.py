"""How long what waits still takes: on the ops page and in `stripe-sync sync --watch`."""

import json
from datetime import timedelta

import pytest

from billing.invoice_sync import push_due, push_progress
from billing.invoice_sync.progress import progress_of
from billing.models import SyncStep
from billing.runtime import Runtime
from billing.stripe_limits import StripeLimits
from commands.sync_watch import watch
from sandbox.stripe.app import FakeStripe
from sandbox.stripe.chaos import Fault, Switch
from tests.billing.many import many_issued_invoices
from tests.billing.pushing import FINALIZE, an_issued_invoice
from tests.world import Clock

LIVE, TEST = StripeLimits(100, 25, 0.8), StripeLimits(25, 25, 0.8)


@pytest.mark.parametrize(
    ("waiting", "limits", "calls", "seconds", "per_second"),
    [
        ({SyncStep.NEW: 50_000}, LIVE, 150_000, 2500, 20),  # the endpoint binds
        ({SyncStep.NEW: 50_000}, TEST, 150_000, 7500, 20 / 3),  # the account does
        ({SyncStep.NEW: 100, SyncStep.LINES: 100}, LIVE, 400, 10, 20),
        ({SyncStep.NEW: 10, SyncStep.CREATED: 20}, TEST, 70, 4, 30 / 3.5),
        ({}, LIVE, 0, 0, 20),
        ({}, TEST, 0, 0, 20 / 3),
    ],
)
def test_time_left_is_calls_by_the_rate_that_binds(
    waiting: dict[SyncStep, int], limits: StripeLimits, calls: int, seconds: int, per_second: float
) -> None:
    left = progress_of(waiting, limits)

    assert (left.waiting, left.calls) == (sum(waiting.values()), calls)
    assert left.left == timedelta(seconds=seconds)
    assert left.per_second == pytest.approx(per_second)


async def test_what_is_half_done_needs_less(connected: Runtime, fake: FakeStripe) -> None:
    await an_issued_invoice(connected)
    await an_issued_invoice(connected)
    fake.world.chaos.turn_on(Fault.DOWN, Switch(operation=FINALIZE, calls=1))
    await push_due(connected)

    async with connected.sessions() as session:
        left = await push_progress(session, LIVE)
    assert (left.waiting, left.calls) == (1, 1)


async def test_watching_says_a_line_a_second_until_nothing_waits(
    connected: Runtime, clock: Clock
) -> None:
    await many_issued_invoices(connected, 3, 1, clock.at)
    lines: list[str] = []

    async def second(seconds: float) -> None:
        clock.advance(timedelta(seconds=seconds))
        if len(lines) == 3:
            await push_due(connected)

    await watch(connected, as_json=True, say=lines.append, sleep=second)

    looks = [json.loads(line) for line in lines]
    assert [x["waiting"] for x in looks] == [3, 3, 3, 0]
    assert (looks[0]["seconds_left"], looks[0]["of"]) == (0, 3)
    assert (looks[-1]["pushed"], looks[-1]["pushed_per_second"]) == (3, 1.0)


async def test_watching_is_a_bar_for_people(connected: Runtime, clock: Clock) -> None:
    await many_issued_invoices(connected, 2, 1, clock.at)
    lines: list[str] = []

    async def second(seconds: float) -> None:
        clock.advance(timedelta(seconds=seconds))
        await push_due(connected)

    await watch(connected, as_json=False, say=lines.append, sleep=second)

    assert lines == [
        "[........................] 0 of 2  0.0/s of 6.7/s  0:00:00 left",
        "[########################] 2 of 2  2.0/s of 6.7/s  0:00:00 left",
    ]
