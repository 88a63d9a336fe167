"""A few dozen schedules in every run of the tests; `make soak` plays thousands."""

import pytest

from billing.runtime import Runtime
from tests.soak.player import shortest, violation_of
from tests.soak.schedules import KNOWN, Schedule, schedule_of

SEEDS = range(24)
AT_ONCE = 6


async def judge(runtime: Runtime, schedule: Schedule) -> None:
    found = await violation_of(runtime, schedule)
    if found is not None:
        pytest.fail(str(await shortest(runtime, found)), pytrace=False)


@pytest.mark.parametrize("name", KNOWN)
async def test_where_it_has_gone_wrong_before(runtime: Runtime, name: str) -> None:
    await judge(runtime, KNOWN[name])


@pytest.mark.parametrize("first", SEEDS[::AT_ONCE])
async def test_whatever_happens_each_invoice_is_there_once_with_our_total(
    runtime: Runtime, first: int
) -> None:
    for seed in range(first, first + AT_ONCE):
        await judge(runtime, schedule_of(seed))


def test_a_seed_is_always_the_same_schedule() -> None:
    assert schedule_of(7) == schedule_of(7) != schedule_of(8)
