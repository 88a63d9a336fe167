"""A few dozen schedules in every run of the tests; `make soak` plays thousands."""

import pytest

from billing.runtime import Runtime
from tests.soak.player import shortest, violation_of
from tests.soak.schedules import schedule_of

SEEDS = range(36)


@pytest.mark.parametrize("first", SEEDS[::6])
async def test_whatever_happens_each_invoice_is_there_once_with_our_total(
    runtime: Runtime, first: int
) -> None:
    for seed in range(first, first + 6):
        found = await violation_of(runtime, schedule_of(seed))
        if found is not None:
            pytest.fail(str(await shortest(runtime, found)), pytrace=False)


def test_a_seed_is_always_the_same_schedule() -> None:
    assert schedule_of(7) == schedule_of(7) != schedule_of(8)
