"""(organization, source, id) counts once: resends, other bodies, and requests at the same time."""

import random
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal

import anyio
import pytest
from sqlalchemy import select

from billing.models import Meter, Verdict
from billing.rules.aggregation import Aggregation
from billing.runtime import Runtime
from billing.usage import EventVerdict, NumberText, parse_event
from billing.usage.intake import Submission
from billing.usage.recording import record
from tests.billing.usage.conftest import Usage, a_key, an_event
from tests.factories import a_meter

ACCEPTED, DUPLICATE, CONFLICT, REJECTED = Verdict


def kinds(verdicts: list[EventVerdict]) -> list[Verdict]:
    return [verdict.verdict for verdict in verdicts]


SAME_BODY: Sequence[dict[str, object]] = (
    {"data": {"value": NumberText("1.50"), "app": "web", "region": "eu"}},
    {"data": {"value": NumberText("15e-1"), "app": "web", "region": "eu"}},
    {"data": {"value": "1.5", "app": "web", "region": "eu", "undeclared": "other"}},
    {"time": "2026-11-10T13:20:00+00:00"},
    {"time": "2026-11-10T14:20:00.000+01:00"},
    {"time": None},
    {"datacontenttype": "application/json", "traceparent": "00-1"},
)
OTHER_BODY: Sequence[dict[str, object]] = (
    {"data": {"value": "1.6", "app": "web", "region": "eu"}},
    {"data": {"value": "1.5", "app": "api", "region": "eu"}},
    {"data": {"value": "1.5", "app": "web"}},
    {"data": {"value": "not a number", "app": "web", "region": "eu"}},
    {"data": None},
    {"time": "2026-11-10T13:20:01Z"},
    {"type": "request"},
    {"type": "unknown"},
)


@pytest.mark.parametrize(("changes", "verdict"), [(SAME_BODY, DUPLICATE), (OTHER_BODY, CONFLICT)])
async def test_a_body_is_compared_as_it_is_read_not_as_it_is_spelled(
    usage: Usage, changes: Sequence[dict[str, object]], verdict: Verdict
) -> None:
    resent = [an_event(**change) for change in changes]

    assert kinds(await usage.record(an_event(), *resent)) == [ACCEPTED] + [verdict] * len(resent)
    assert kinds(await usage.record(*resent)) == [verdict] * len(resent)
    assert await usage.totals() == {"egress_gb app=web region=eu 13h": Decimal("1.5")}


async def test_a_conflict_says_so_and_is_kept(usage: Usage) -> None:
    [_, verdict] = await usage.record(an_event(), an_event(type="request"))

    assert (verdict.code, verdict.field) == ("CONFLICT", "id")
    assert [(row.verdict, row.org_id) for row in await usage.quarantine()] == [
        (CONFLICT, usage.acme.id)
    ]


async def test_an_id_belongs_to_its_source_and_organization(usage: Usage) -> None:
    others = [an_event(source="rails"), an_event(subject="globex"), an_event(id="e2")]

    assert kinds(await usage.record(an_event(), *others)) == [ACCEPTED] * 4


async def test_a_time_is_not_compared_when_the_first_gave_none(usage: Usage) -> None:
    await usage.record(an_event(time=None))

    assert kinds(await usage.record(an_event())) == [DUPLICATE]


async def test_within_a_batch_the_first_is_counted(usage: Usage) -> None:
    other = an_event(data={"value": "9"})

    assert kinds(await usage.record(an_event(), an_event(), other, an_event())) == [
        ACCEPTED,
        DUPLICATE,
        CONFLICT,
        DUPLICATE,
    ]
    assert await usage.totals() == {"egress_gb app=web region=eu 13h": Decimal("1.5")}


async def test_what_is_rejected_uses_up_no_identity(usage: Usage) -> None:
    invalid = an_event(data={"value": "-1"})

    assert kinds(await usage.record(invalid, an_event(), invalid)) == [
        REJECTED,
        ACCEPTED,
        CONFLICT,
    ]
    assert kinds(await usage.record(an_event(id="e2", type="unknown"))) == [REJECTED]
    assert kinds(await usage.record(an_event(id="e2"))) == [ACCEPTED]


async def test_the_resend_of_an_event_grown_too_old_is_a_duplicate(usage: Usage) -> None:
    await usage.record(an_event())

    later = usage.clock.at + timedelta(days=60)
    verdicts = await usage.record(an_event(), an_event(id="e2"), now=later)

    assert [(verdict.verdict, verdict.code) for verdict in verdicts] == [
        (DUPLICATE, None),
        (REJECTED, "TIME_TOO_OLD"),
    ]


async def test_a_meter_added_later_makes_no_conflict_of_a_resend(usage: Usage) -> None:
    event = an_event(data={"value": "1", "app": "web", "objects": "3"})
    await usage.record(event)
    async with usage.runtime.sessions.begin() as session:
        meter = await a_meter(session, "objects", aggregation=Aggregation.SUM, dimensions={})
        meter.event_type, meter.value_property = "egress_gb", "objects"

    assert kinds(await usage.record(event)) == [DUPLICATE]

    with_both = an_event(id="e2", data={"value": "1", "app": "web", "objects": "3"})
    with_less = an_event(id="e2", data={"value": "1", "app": "web"})
    assert kinds(await usage.record(with_both, with_less)) == [ACCEPTED, CONFLICT]


async def recorded_at_once(
    usage: Usage, batches: Sequence[Sequence[object]]
) -> list[list[Verdict]]:
    """Each batch from a connection of its own, all at the same time.

    Without the second try that a request has, so that a deadlock fails the test.
    """
    answers: list[list[Verdict]] = [[] for _ in batches]

    async def send(number: int) -> None:
        now = usage.clock.at
        submissions = [Submission(parse_event(raw), now, None) for raw in batches[number]]
        async with usage.runtime.sessions.begin() as session:
            settled = await record(session, a_key(), submissions, now)
        answers[number] = kinds([one.verdict for one in settled])

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
