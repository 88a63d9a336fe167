"""How many calls to Stripe are under way at once."""

import asyncio

from billing.stripe_limits.concurrency import Concurrency


async def test_half_as_many_at_once_when_crowded_and_slowly_more_again() -> None:
    at_once = Concurrency()
    at_once.was_crowded(100.0)
    at_once.was_crowded(100.5)
    assert at_once.limit == 10, "refused together: once"
    at_once.was_crowded(102.0)
    assert at_once.limit == 5
    for second in range(103, 133):
        at_once.went_well(float(second))
    assert at_once.limit == 8


async def test_places_are_given_in_order_and_a_place_nobody_takes_is_passed_on() -> None:
    at_once, order = Concurrency(limit=1), list[int]()
    release = asyncio.Event()

    async def take(number: int) -> None:
        async with at_once.place():
            order.append(number)
            await release.wait()

    tasks = [asyncio.create_task(take(number)) for number in range(4)]
    await asyncio.sleep(0)
    assert order == [0]
    tasks[1].cancel()
    release.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert order == [0, 2, 3]


async def test_a_place_that_comes_free_as_its_next_gives_up_is_passed_on() -> None:
    at_once, order = Concurrency(limit=1), list[int]()
    release = asyncio.Event()

    async def take(number: int) -> None:
        async with at_once.place():
            order.append(number)
            await release.wait()

    tasks = [asyncio.create_task(take(number)) for number in range(3)]
    await asyncio.sleep(0)
    release.set()  # the first wakes before the second knows that it was cancelled
    tasks[1].cancel()
    first, second, third = await asyncio.gather(*tasks, return_exceptions=True)

    assert (first, third, order) == (None, None, [0, 2])
    assert isinstance(second, asyncio.CancelledError)
