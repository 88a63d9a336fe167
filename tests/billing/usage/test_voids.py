"""Voids: what was counted by mistake counts no longer, as if it had never been."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import anyio
import pytest
from sqlalchemy import inspect, select, text

from billing.models import UsageBucket, UsageVoid, Verdict
from billing.rules.aggregation import Aggregation
from billing.rules.periods import Period
from billing.usage import SHARDS, fold_tail
from billing.usage.recounting import differences
from billing.usage.voids import Voiding, VoidRequest, void_usage
from tests.billing.usage.conftest import Usage, a_key, an_event
from tests.billing.usage.voiding import ALREADY_VOIDED, VOIDED, WHOLE_HOUR, kinds, void
from tests.factories import a_meter

YEAR = Period(
    datetime.fromisoformat("2026-01-01T00:00:00Z"), datetime.fromisoformat("2027-01-01T00:00:00Z")
)


async def counted(usage: Usage, subject: str) -> tuple[dict[str, Any], list[Any]]:
    """Every figure of every bucket of an organization, and its labels."""
    org = usage.acme if subject == "acme" else usage.globex
    columns = [x.key for x in inspect(UsageBucket).column_attrs if x.key != "series_id"]
    buckets = {
        name: {column: getattr(bucket, column) for column in columns}
        for name, bucket in (await usage.buckets(org)).items()
    }
    async with usage.runtime.sessions() as session:
        labels = await session.execute(
            text("""
                SELECT meter_id, dimensions, hour, value, event_count
                FROM usage_distinct_values JOIN usage_series ON id = series_id
                WHERE org_id = :org_id ORDER BY hour, value, dimensions::text
            """),
            {"org_id": org.id},
        )
        return buckets, [tuple(row) for row in labels]


async def assert_exact(usage: Usage) -> None:
    """Buckets are what the readings that are left add up to."""
    await fold_tail(usage.runtime)
    for shard in range(SHARDS):
        async with usage.runtime.sessions() as session:
            assert await differences(session, shard, YEAR) == []


HISTORY: Sequence[tuple[str, str, str]] = (
    ("a", "13:00:00", "4"),
    ("b", "13:20:00", "9"),  # the highest, and the only one of its label
    ("c", "13:20:00", "4"),  # a tie in time
    ("d", "13:50:00", "7"),  # the last of its hour
    ("e", "14:10:00", "5"),
)
"""(id, time, value) of five events."""


@pytest.fixture
async def every_aggregation(usage: Usage) -> Usage:
    """One meter of each kind, fed by events of type `all`."""
    async with usage.runtime.sessions.begin() as session:
        for aggregation in Aggregation:
            meter = await a_meter(
                session, f"by_{aggregation.lower()}", aggregation=aggregation, dimensions={}
            )
            meter.event_type = "all"
    usage.clock.advance(timedelta(hours=1))
    return usage


def of_history(subject: str, *left_out: str) -> list[dict[str, object]]:
    return [
        an_event(
            id=id, type="all", subject=subject, time=f"2026-11-10T{at}Z", data={"value": value}
        )
        for id, at, value in HISTORY
        if id not in left_out
    ]


@pytest.mark.parametrize("voided", [*"abcde", "ac", "abcd", "abcde"])
@pytest.mark.parametrize("is_folded", [True, False], ids=["folded", "unfolded"])
async def test_whatever_is_voided_it_is_as_if_it_had_never_been(
    every_aggregation: Usage, voided: str, *, is_folded: bool
) -> None:
    """The highest of a MAX, the last of a LATEST, one of a label's two: globex never had them."""
    usage = every_aggregation
    assert {one.verdict for one in await usage.record(*of_history("acme"))} == {Verdict.ACCEPTED}
    await usage.record(*of_history("globex", *voided))
    if is_folded:
        await fold_tail(usage.runtime)

    assert kinds(await void(usage, *voided)) == [VOIDED] * len(voided)

    assert await counted(usage, "acme") == await counted(usage, "globex")
    await assert_exact(usage)
    assert len(await usage.identities()) == 5 + (5 - len(voided))


@pytest.mark.parametrize("late", [("z", "13:10:00", "2"), ("z", "13:59:00", "20")])
async def test_what_comes_late_into_the_hour_does_not_bring_it_back(
    every_aggregation: Usage, late: tuple[str, str, str]
) -> None:
    usage = every_aggregation
    await usage.record(*of_history("acme"))
    await usage.record(*of_history("globex", "b", "d"))
    await void(usage, "b", "d")

    id, at, value = late
    for subject in ("acme", "globex"):
        await usage.record(
            an_event(
                id=id, type="all", subject=subject, time=f"2026-11-10T{at}Z", data={"value": value}
            )
        )

    assert await counted(usage, "acme") == await counted(usage, "globex")
    await assert_exact(usage)


async def test_late_then_voided_is_never_happened(every_aggregation: Usage) -> None:
    usage = every_aggregation
    for subject in ("acme", "globex"):
        await usage.record(*of_history(subject))
        await fold_tail(usage.runtime)
    late = an_event(id="z", type="all", time="2026-11-10T13:05:00Z", data={"value": "100"})
    await usage.record(late)

    assert kinds(await void(usage, "z")) == [VOIDED]

    assert await counted(usage, "acme") == await counted(usage, "globex")


async def test_a_voided_identity_stays_used_and_its_readings_stored(usage: Usage) -> None:
    await usage.record(an_event())
    await void(usage, "e1")

    resent, other = await usage.record(an_event(), an_event(data={"value": "2"}))

    assert (resent.verdict, other.verdict) == (Verdict.DUPLICATE, Verdict.CONFLICT)
    assert await usage.totals() == {}
    assert [one.external_id for one in await usage.events()] == ["e1"]


async def test_an_event_without_a_time_is_found_too(usage: Usage) -> None:
    await usage.record(an_event(time=None))
    usage.clock.advance(timedelta(days=3))

    assert kinds(await void(usage, "e1")) == [VOIDED]
    assert await usage.totals() == {}


async def test_all_readings_of_an_event_are_voided_and_nobody_elses(usage: Usage) -> None:
    async with usage.runtime.sessions.begin() as session:
        meter = await a_meter(session, "objects", dimensions={})
        meter.event_type = "egress_gb"
    await usage.record(
        an_event(), an_event(source="rails"), an_event(subject="globex"), an_event(id="e2")
    )

    assert kinds(await void(usage, "e1")) == [VOIDED]

    assert await usage.totals() == {WHOLE_HOUR: Decimal(3), "objects 13h": Decimal(3)}
    assert (await usage.totals(usage.globex))[WHOLE_HOUR] == Decimal("1.5")


async def test_voiding_again_changes_nothing(usage: Usage) -> None:
    await usage.record(an_event(), an_event(id="e2"))

    assert kinds(await void(usage, "e1", "e1", "e2", "e1")) == [
        VOIDED,
        ALREADY_VOIDED,
        VOIDED,
        ALREADY_VOIDED,
    ]
    much_later = usage.clock.at + timedelta(days=90)
    assert kinds(await void(usage, "e1", reason="other", now=much_later)) == [ALREADY_VOIDED]
    async with usage.runtime.sessions() as session:
        reasons = (await session.scalars(select(UsageVoid.reason))).all()
    assert reasons == ["sent twice"] * 2


async def test_of_voids_at_once_one_is_the_first(usage: Usage) -> None:
    ids = [f"e{number}" for number in range(20)]
    await usage.record(*(an_event(id=id) for id in ids))
    answers: list[list[Voiding]] = []

    async def ask(order: list[str]) -> None:
        answers.append(kinds(await void(usage, *order)))

    async def record_more(number: int) -> None:
        await usage.record(an_event(id=f"new-{number}", data={"value": "1", "app": "web"}))
        await fold_tail(usage.runtime)

    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            for number in range(6):
                group.start_soon(ask, ids[::-1] if number % 2 else ids)
                group.start_soon(record_more, number)

    verdicts = [verdict for answer in answers for verdict in answer]
    assert (verdicts.count(VOIDED), verdicts.count(ALREADY_VOIDED)) == (20, 100)
    assert await usage.totals() == {"egress_gb app=web 13h": Decimal(6)}
    await assert_exact(usage)


async def test_many_at_once_of_many_hours_and_organizations(usage: Usage) -> None:
    events = [
        an_event(
            id=f"e{number}",
            subject="acme" if number % 2 else "globex",
            time=f"2026-11-{number % 9 + 1:02}T{number % 24:02}:30:00Z",
        )
        for number in range(1_000)
    ]
    await usage.record(*events)
    await usage.record(an_event(id="kept"))
    wanted = [
        VoidRequest(str(one["subject"]), str(one["source"]), str(one["id"])) for one in events
    ]

    verdicts = await void_usage(
        usage.runtime, wanted, reason="test", viewer=a_key(), now=usage.clock.at
    )

    assert kinds(verdicts) == [VOIDED] * 1_000
    assert [one.request for one in verdicts] == wanted
    assert (await usage.totals(), await usage.totals(usage.globex)) == (
        {WHOLE_HOUR: Decimal("1.5")},
        {},
    )
