"""A COPY that waits for somebody else's transaction: it is given up, or begun again."""

import pytest
from asyncpg import DeadlockDetectedError, UndefinedTableError

from billing.usage import parse_event
from billing.usage.coalescing import SMALL_EVENTS_MAX, WRITERS_MAX, Coalescer
from billing.usage.desk import Desk
from billing.usage.intake import Sender, Submission
from billing.usage.recording import record
from billing.usage.store import again_on_deadlock
from tests.billing.usage.conftest import Usage, a_key, an_event
from tests.billing.usage.locks import somebody_waits
from tests.billing.usage.test_coalescing import ACCEPTED, Requests, large


async def test_a_copy_that_hangs_is_given_up_and_its_connection_is_sound(usage: Usage) -> None:
    await usage.record(an_event(id="known"))
    hasty, patient = Requests(usage, Coalescer(flight_seconds=0.3)), Requests(usage, Coalescer())
    twin = Submission(parse_event(an_event(id="c-7")), usage.clock.at, Sender(a_key(), None))
    async with usage.runtime.sessions() as session:
        await record(session, usage.runtime.remembered(Desk), [twin], usage.clock.at)
        hasty.send(large("c"))
        await somebody_waits(usage.runtime)
        assert [type(one) for one in await hasty.answers()] == [TimeoutError]
        await session.rollback()

    patient.send(large("c"), *(large(f"d{n}") for n in range(2 * WRITERS_MAX)))

    accepted = [ACCEPTED] * (SMALL_EVENTS_MAX + 1)
    assert await patient.answers() == [accepted] * (2 * WRITERS_MAX + 1)


async def test_a_copy_that_is_chosen_to_break_a_deadlock_is_tried_once_more() -> None:
    """A COPY is the driver's: what it raises never was SQLAlchemy's."""
    tries = iter(
        [DeadlockDetectedError("deadlock detected"), None, UndefinedTableError("no table")]
    )

    async def attempt() -> str:
        if error := next(tries):
            raise error
        return "done"

    assert await again_on_deadlock(attempt) == "done"
    with pytest.raises(UndefinedTableError):
        await again_on_deadlock(attempt)
