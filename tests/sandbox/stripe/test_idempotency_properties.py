"""Any sequence of calls under a few keys, against a model of what Stripe promises of them."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta

import httpx
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.stripe.app import FakeStripe
from sandbox.stripe.chaos import Fault, Switch
from sandbox.stripe.world import World
from tests.world import Clock

FAULTS = (Fault.ERROR_BEFORE_COMMIT, Fault.ERROR_AFTER_COMMIT, Fault.TIMEOUT_AFTER_COMMIT)


@dataclass(frozen=True)
class Try:
    """One call after `hours` have passed; a retry is one whose key was tried before."""

    key: str
    name: str
    fault: Fault | None
    hours: int


@dataclass(frozen=True)
class First:
    """How a key's first call ended; its body is None where the answer was lost."""

    name: str
    hour: int
    status: int
    body: bytes | None


tries = st.lists(
    st.builds(
        Try,
        st.sampled_from(["k1", "k2"]),
        st.sampled_from(["A", "B"]),
        st.sampled_from([None, None, *FAULTS]),
        st.sampled_from([0, 0, 11, 12]),
    ),
    max_size=12,
)


@settings(max_examples=50, deadline=None)
@given(tries)
def test_a_key_acts_once_in_24_hours_whatever_goes_wrong(sequence: list[Try]) -> None:
    asyncio.run(play(sequence))


async def play(sequence: list[Try]) -> None:
    clock, world = Clock(), World()
    firsts: dict[str, First] = {}
    hour = made = 0
    transport = httpx.ASGITransport(FakeStripe(world, clock))
    async with httpx.AsyncClient(
        transport=transport, base_url="http://fake", auth=("sk_test_x", "")
    ) as client:
        for attempt in sequence:
            clock.advance(timedelta(hours=attempt.hours))
            hour += attempt.hours
            first = firsts.get(attempt.key)
            if first is not None and hour - first.hour >= 24:
                first = None
            if attempt.fault is not None:
                world.chaos.turn_on(attempt.fault, Switch(calls=1))
            status, body = await call(client, attempt)
            world.chaos.switches.clear()
            lost = attempt.fault is Fault.TIMEOUT_AFTER_COMMIT
            if first is None:
                broken = attempt.fault in (Fault.ERROR_BEFORE_COMMIT, Fault.ERROR_AFTER_COMMIT)
                made += attempt.fault is not Fault.ERROR_BEFORE_COMMIT
                firsts[attempt.key] = First(attempt.name, hour, 500 if broken else 200, body)
            elif first.name != attempt.name:
                assert lost or (status, b"idempotency_error" in (body or b"")) == (400, True)
            elif not lost:
                assert status == first.status
                assert first.body is None or body == first.body
            assert len(world.customers) == made


async def call(client: httpx.AsyncClient, attempt: Try) -> tuple[int | None, bytes | None]:
    """Status and body; None where the connection was closed without an answer."""
    headers = {"Idempotency-Key": attempt.key}
    try:
        answer = await client.post("/v1/customers", data={"name": attempt.name}, headers=headers)
    except ConnectionResetError:
        return None, None
    return answer.status_code, answer.content
