"""Requests at the same time: each event counts once, and nobody waits in a circle."""

import random
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal

import anyio
import pytest
from sqlalchemy import select, text

from billing.models import Meter, Verdict
from billing.runtime import Runtime
from billing.usage import EventVerdict, parse_event
from billing.usage.desk import Desk
from billing.usage.intake import Sender, Submission
from billing.usage.recording import record
from tests.billing.usage.conftest import Usage, a_key, an_event
from tests.billing.usage.locks import somebody_waits

ACCEPTED, DUPLICATE, CONFLICT, _ = Verdict


def kinds(verdicts: list[EventVerdict]) -> list[Verdict]:
    return [verdict.verdict for verdict in verdicts]


async def recorded_at_once(
    usage: Usage, batches: Sequence[Sequence[object]]
) -> list[list[Verdict]]:
    """Each batch from a connection of its own, all at the same time.

    Without the second try that a request has, so that a deadlock fails the test.
    """
    answers: list[list[Verdict]] = [[] for _ in batches]

    async def send(number: int) -> None:
        now = usage.clock.at
        sender = Sender(a_key(), None)
        submissions = [Submission(parse_event(raw), now, sender) for raw in batches[number]]
        async with usage.runtime.sessions.begin() as session:
            recorded = await record(session, Desk(), submissions, now)
        answers[number] = kinds([one.verdict for one in recorded.settled])

    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            for number in range(len(batches)):
                group.start_soon(send, number)
    return answers


async def test_the_same_events_sent_at_once_in_any_order_count_once(usage: Usage) -> None:
    shuffle = random.Random(1).sample
    events = [
        an_event(id=f"e{number}", data={"value": "1", "app": f"app-{number % 7}"})
        for number in range(60)
    ]
    batches = [shuffle(events, 45) for _ in range(8)]

    answers = await recorded_at_once(usage, batches)

    sent = {event["id"] for batch in batches for event in batch}
    verdicts = [verdict for answer in answers for verdict in answer]
    assert verdicts.count(ACCEPTED) == len(sent) == len(await usage.events())
    assert verdicts.count(DUPLICATE) == 8 * 45 - len(sent)
    assert sum((await usage.totals()).values()) == len(sent)


async def test_of_two_bodies_sent_at_once_one_is_counted_and_the_other_refused(
    usage: Usage,
) -> None:
    bodies = [[an_event(data={"value": str(value)})] for value in range(1, 7)]

    answers = [answer for [answer] in await recorded_at_once(usage, bodies)]

    assert sorted(answers) == [ACCEPTED, *[CONFLICT] * 5]
    assert len(await usage.events()) == 1


async def test_series_and_buckets_take_what_comes_at_once_in_opposite_orders(
    usage: Usage,
) -> None:
    def batch(sender: str, *, is_reversed: bool) -> list[dict[str, object]]:
        apps = sorted(range(400), reverse=is_reversed)
        return [
            an_event(id=f"{sender}-{app}", data={"value": "1", "app": f"app-{app}"}) for app in apps
        ]

    for _round in ("new series", "old series"):
        await recorded_at_once(
            usage,
            [batch(f"{_round} {n}", is_reversed=n % 2 == 0) for n in range(4)],
        )

    totals = await usage.totals()
    assert (len(totals), set(totals.values())) == (400, {Decimal(8)})


async def test_a_failing_request_leaves_nothing_half_written(
    usage: Usage, runtime: Runtime
) -> None:
    """The last thing written is what fails: everything before it must be gone as well."""
    async with runtime.engine.begin() as connection:
        await connection.exec_driver_sql("ALTER TABLE usage_sources ADD CHECK (source <> 'broken')")
    try:
        with pytest.raises(Exception, match="usage_sources"):
            await usage.record(an_event(), an_event(source="broken"))
    finally:
        async with runtime.engine.begin() as connection:
            await connection.exec_driver_sql(
                "ALTER TABLE usage_sources DROP CONSTRAINT usage_sources_source_check"
            )

    assert (await usage.events(), await usage.identities(), await usage.buckets()) == ([], [], {})
    async with runtime.sessions() as session:
        assert len((await session.scalars(select(Meter))).all()) == 3
    assert kinds(await usage.record(an_event())) == [ACCEPTED]


async def test_a_request_picked_to_break_a_deadlock_is_tried_again(
    usage: Usage, runtime: Runtime
) -> None:
    """Somebody with psql locks in the other order: first the source, then the identities."""
    await usage.record(an_event())
    verdicts: list[Verdict] = []

    async def send() -> None:
        later = usage.clock.at + timedelta(minutes=1)  # so that the source is heard of again
        verdicts.extend(kinds(await usage.record(an_event(id="e2"), now=later)))

    with anyio.fail_after(20):
        async with anyio.create_task_group() as group, runtime.engine.begin() as other:
            await other.execute(text("UPDATE usage_sources SET source = source"))
            group.start_soon(send)
            await somebody_waits(runtime)
            await other.execute(text("LOCK TABLE usage_identities IN SHARE MODE"))

    assert verdicts == [ACCEPTED]
    assert await usage.totals() == {"egress_gb app=web region=eu 13h": Decimal(3)}
