"""What is accepted, and what it leaves: readings, series, hourly buckets, sources."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from billing.errors import Forbidden
from billing.models import Meter, Scope, UsageSource, Verdict
from billing.rules.aggregation import Aggregation
from billing.runtime import LIVE_CHANNEL
from billing.usage import NumberText
from tests.billing.usage.conftest import Usage, a_key, an_event
from tests.factories import LONG_AGO, a_meter

ACCEPTED = Verdict.ACCEPTED


async def test_an_accepted_event_is_kept_as_it_was_counted(usage: Usage) -> None:
    data = {"value": NumberText("1.50"), "app": "web", "region": "eu", "undeclared": "dropped"}

    [verdict] = await usage.record(an_event(data=data))

    assert (verdict.verdict, verdict.id, verdict.source) == (ACCEPTED, "e1", "phoenix/eu-1")
    [event] = await usage.events()
    assert (event.org_id, event.source, event.external_id) == (usage.acme.id, "phoenix/eu-1", "e1")
    assert (str(event.quantity), event.label) == ("1.5", None)
    assert event.occurred_at == datetime(2026, 11, 10, 13, 20, tzinfo=UTC)
    assert event.recorded_at == usage.clock.at
    assert await usage.totals() == {"egress_gb app=web region=eu 13h": Decimal("1.5")}
    assert await usage.events() == [replace(event, is_folded=True)]


async def test_a_bucket_holds_what_every_aggregation_needs(usage: Usage) -> None:
    async with usage.runtime.sessions.begin() as session:
        await a_meter(session, "level", aggregation=Aggregation.LATEST, event_type="egress_gb")
    await usage.record(
        an_event(id="a", time="2026-11-10T13:20:00Z", data={"value": "2"}),
        an_event(id="b", time="2026-11-10T13:40:00Z", data={"value": "3"}),
    )
    await usage.record(an_event(id="c", time="2026-11-10T13:10:00Z", data={"value": "7"}))

    buckets = await usage.buckets()
    bucket, held = buckets["egress_gb 13h"], buckets["level 13h"]
    assert (bucket.event_count, bucket.total, bucket.highest) == (3, Decimal(12), Decimal(7))
    assert (bucket.first_at, bucket.last_at, bucket.last_value, bucket.weighted) == (None,) * 4
    assert held.first_at == datetime(2026, 11, 10, 13, 10, tzinfo=UTC)
    assert held.last_at == datetime(2026, 11, 10, 13, 40, tzinfo=UTC)
    assert held.last_value == Decimal(3)
    assert held.weighted == 600 * 7 + 1200 * 2 + 1200 * 3


@pytest.mark.parametrize("one_batch", [True, False])
async def test_of_one_instant_the_last_is_by_source_then_id_and_code_point(
    usage: Usage, one_batch: bool
) -> None:
    # A database that sorts like a dictionary would put "é" before "z", and "a" before "Z".
    async with usage.runtime.sessions.begin() as session:
        await a_meter(session, "level", aggregation=Aggregation.LATEST)
    tied = [
        an_event(id=name, source="s", type="level", data={"value": str(value)})
        for value, name in enumerate(["Z", "é", "a", "z"])
    ]
    earlier_source = an_event(id="é2", source="S", type="level", data={"value": "9"})

    for batch in [[*tied, earlier_source]] if one_batch else [[e] for e in [*tied, earlier_source]]:
        await usage.record(*batch)

    assert (await usage.buckets())["level 13h"].last_value == Decimal(1)


async def test_an_hour_and_a_month_are_of_utc_wherever_the_sender_is(usage: Usage) -> None:
    await usage.record(
        an_event(id="a", time="2026-10-31T23:30:00-05:00"),
        an_event(id="b", time="2026-11-01T00:30:00+01:00"),
    )

    assert await usage.totals() == {
        "egress_gb app=web region=eu 04h": Decimal("1.5"),
        "egress_gb app=web region=eu 23h": Decimal("1.5"),
    }
    assert {event.occurred_at.month for event in await usage.events()} == {10, 11}


async def test_several_meters_feed_on_one_type_each_by_what_it_needs(usage: Usage) -> None:
    async with usage.runtime.sessions.begin() as session:
        for slug, key, aggregation in (
            ("cpu", "seconds", Aggregation.SUM),
            ("peak_memory", "memory", Aggregation.MAX),
            ("runs", None, Aggregation.COUNT),
        ):
            meter = Meter(
                slug=slug,
                name=slug,
                unit="u",
                event_type="job.done",
                value_property=key,
                aggregation=aggregation,
                dimensions={"app": "application"},
                recorded_at=LONG_AGO,
            )
            session.add(meter)

    await usage.record(
        an_event(id="a", type="job.done", data={"seconds": "9", "application": "web"}),
        an_event(id="b", type="job.done", data={"memory": "4", "application": "web"}),
        an_event(id="c", type="job.done", data=None),
    )

    counted = {name: (b.event_count, b.total) for name, b in (await usage.buckets()).items()}
    assert counted == {
        "cpu app=web 13h": (1, Decimal(9)),
        "peak_memory app=web 13h": (1, Decimal(4)),
        "runs app=web 13h": (2, Decimal(2)),
        "runs 13h": (1, Decimal(1)),
    }


async def test_an_event_must_be_valid_for_each_meter_whose_value_it_carries(usage: Usage) -> None:
    async with usage.runtime.sessions.begin() as session:
        count = await a_meter(session, "hits", aggregation=Aggregation.COUNT)
        count.event_type = "egress_gb"

    [verdict] = await usage.record(an_event(data={"value": "-1"}))

    assert verdict.code == "NEGATIVE_VALUE"
    assert await usage.buckets() == {}


async def test_a_dimension_is_text_and_an_empty_one_is_missing(usage: Usage) -> None:
    values = (NumberText("42.0"), True, "eu-1", None, "")

    await usage.record(
        *(
            an_event(id=f"e{number}", data={"value": "1", "region": value})
            for number, value in enumerate(values)
        )
    )

    assert await usage.totals() == {
        "egress_gb region=42 13h": 1,
        "egress_gb region=true 13h": 1,
        "egress_gb region=eu-1 13h": 1,
        "egress_gb 13h": 2,
    }


async def test_an_event_without_a_time_happens_when_it_is_received(usage: Usage) -> None:
    await usage.record(an_event(time=None))

    [event] = await usage.events()
    assert event.occurred_at == usage.clock.at


async def test_a_source_is_as_fresh_as_its_latest_event(usage: Usage) -> None:
    await usage.record(an_event(id="a", time="2026-11-10T13:00:00Z"))
    await usage.record(
        an_event(id="b", time="2026-11-10T12:00:00Z"), now=usage.clock.at + timedelta(minutes=1)
    )

    async with usage.runtime.sessions() as session:
        source = await session.get_one(UsageSource, (usage.acme.id, "phoenix/eu-1"))
    assert source.last_occurred_at == datetime(2026, 11, 10, 13, tzinfo=UTC)
    assert source.last_recorded_at == usage.clock.at + timedelta(minutes=1)


async def test_only_organizations_whose_figures_moved_are_nudged(usage: Usage) -> None:
    redis = usage.runtime.nudges.redis
    async with redis.pubsub() as pubsub:
        await pubsub.subscribe(LIVE_CHANNEL)
        await pubsub.get_message(timeout=5)

        await usage.record(an_event(), an_event(subject="globex", type="unknown"))

        # Other tests may speak on the channel too: Redis does not number channels.
        await redis.publish(LIVE_CHANNEL, b"end")
        nudged: list[str] = []
        while "end" not in nudged:
            message = await pubsub.get_message(timeout=5)
            nudged += message["data"].decode().split() if message else []
    assert str(usage.acme.id) in nudged
    assert str(usage.globex.id) not in nudged


async def test_nothing_is_lost_while_redis_is_away(usage: Usage) -> None:
    await usage.runtime.nudges.redis.connection_pool.disconnect()
    usage.runtime.nudges.redis.connection_pool.connection_kwargs["port"] = 9

    [verdict] = await usage.record(an_event())

    assert verdict.verdict is ACCEPTED


async def test_a_key_that_may_not_write_is_refused_as_a_whole(usage: Usage) -> None:
    with pytest.raises(Forbidden):
        await usage.record(an_event(), viewer=a_key(None, Scope.USAGE_READ))


async def test_an_empty_batch_is_nothing(usage: Usage) -> None:
    assert await usage.record() == []
