"""Folding while others record, fold, read and die: nothing is lost and nothing counts twice."""

import random
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import anyio
import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.estimates import current_estimate
from billing.models import Meter, Organization
from billing.runtime import Runtime
from billing.usage import fold_shard, fold_tail, folding, shard_of
from billing.usage.months import make_partitions
from tests.billing.usage import checks
from tests.billing.usage.analyzed import is_sampled
from tests.billing.usage.checks import send
from tests.billing.usage.conftest import Usage, an_event
from tests.billing.usage.every_aggregation import a_fact, counted_right, fresh_organization
from tests.billing.usage.locks import somebody_waits
from tests.billing.usage.rescan import Fact
from tests.factories import EGRESS, a_plan, a_price, subscribed

PARTITION = text("SELECT to_regclass(:name) IS NOT NULL")


def another_process(runtime: Runtime) -> Runtime:
    """The same doors without this one's memory."""
    return replace(runtime, _memory={})


async def unfolded(usage: Usage) -> int:
    """How many readings wait in the tail."""
    return sum(not event.is_folded for event in await usage.events())


@asynccontextmanager
async def buckets_held(runtime: Runtime) -> AsyncIterator[AsyncConnection]:
    """While somebody else has the buckets' rows, a fold gets as far as these and waits."""
    async with runtime.engine.begin() as other:
        await other.execute(text("SELECT FROM usage_buckets FOR UPDATE"))
        yield other


async def a_half_folded_world(usage: Usage) -> list[Fact]:
    """Some events folded, and some that go to the same buckets and others not yet."""
    org = await fresh_organization(usage)
    facts = [a_fact(org.key, number) for number in range(40)]
    await send(usage, *facts[:25])
    await fold_tail(usage.runtime)
    await send(usage, *facts[15:])
    return facts


async def test_folds_add_up(declared: Usage) -> None:
    await checks.folds_add_up(declared)


async def test_a_long_tail_is_folded_bit_by_bit(
    declared: Usage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folding, "TAIL_ROWS", 2)
    monkeypatch.setattr(folding, "CHUNK_READINGS", 3)

    await checks.folds_add_up(declared)


async def test_what_commits_late_is_folded_next_time(declared: Usage) -> None:
    await checks.late_commits_are_folded(declared)


async def test_ties_are_no_matter_of_arrival(declared: Usage) -> None:
    await checks.ties_are_no_matter_of_arrival(declared)


async def test_folders_and_recorders_at_once_lose_nothing_and_double_nothing(
    declared: Usage,
) -> None:
    shuffled = random.Random(7).sample
    orgs = [await fresh_organization(declared) for _ in range(6)]
    facts = [a_fact(orgs[number % 6].key, number) for number in range(240)]
    done = anyio.Event()
    folded: list[int] = []

    async def record_all() -> None:
        own = replace(declared, runtime=another_process(declared.runtime))
        order = shuffled(facts, 180)
        for at in range(0, len(order), 12):
            await send(own, *order[at : at + 12])

    async def record_until_done() -> None:
        async with anyio.create_task_group() as recorders:
            for _ in range(4):
                recorders.start_soon(record_all)
        await send(declared, *facts)
        done.set()

    async def keep_folding() -> None:
        while not done.is_set():
            folded.append(await fold_tail(declared.runtime))

    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            group.start_soon(record_until_done)
            for _ in range(3):
                group.start_soon(keep_folding)
    folded.append(await fold_tail(declared.runtime))

    assert sum(count > 0 for count in folded) > 3, "folds came between"
    assert sum(folded) == len(await declared.events())
    await counted_right(declared, facts)


async def test_a_fold_that_fails_at_its_commit_has_done_nothing(
    declared: Usage, runtime: Runtime
) -> None:
    facts = await a_half_folded_world(declared)
    before = await declared.events()
    async with runtime.engine.begin() as connection:
        await connection.execute(text(REFUSE))
        await connection.execute(text(REFUSE_AT_COMMIT))
    try:
        with pytest.raises(DBAPIError, match="planted"):
            await fold_tail(runtime)
    finally:
        async with runtime.engine.begin() as connection:
            await connection.execute(text("DROP FUNCTION planted_refusal CASCADE"))

    assert await declared.events() == before
    await counted_right(declared, facts[:25])
    assert await fold_tail(runtime) == sum(not event.is_folded for event in before) > 0
    await counted_right(declared, facts)


REFUSE = """
CREATE FUNCTION planted_refusal() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'planted'; END $$
"""
REFUSE_AT_COMMIT = """
CREATE CONSTRAINT TRIGGER planted AFTER INSERT OR UPDATE ON usage_buckets
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION planted_refusal()
"""


async def test_a_fold_whose_backend_is_killed_has_done_nothing(
    declared: Usage, runtime: Runtime
) -> None:
    facts = await a_half_folded_world(declared)
    before = await declared.events()
    failures: list[DBAPIError] = []

    async def fold_and_die() -> None:
        try:
            await fold_tail(runtime)
        except DBAPIError as error:
            failures.append(error)

    with anyio.fail_after(30):
        async with buckets_held(runtime) as other, anyio.create_task_group() as group:
            group.start_soon(fold_and_die)
            [(pid, query)] = (await somebody_waits(runtime)).items()
            assert "DELETE FROM usage_tail" in query, "half-way"
            await other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})

    assert len(failures) == 1
    assert await declared.events() == before
    await counted_right(declared, facts[:25])
    assert await fold_tail(runtime) == sum(not event.is_folded for event in before) > 0
    await counted_right(declared, facts)


async def priced(usage: Usage) -> Organization:
    """Acme pays for its egress."""
    async with usage.runtime.sessions.begin() as session:
        plan = await a_plan(session)
        meter = await session.scalar(select(Meter).where(Meter.slug == "egress_gb"))
        await a_price(session, plan, EGRESS, meter=meter)
        await subscribed(session, usage.acme, plan)
    return usage.acme


async def accrued(usage: Usage, org: Organization) -> Decimal:
    """What the open period comes to, as anybody is shown it."""
    async with usage.runtime.sessions() as session:
        return (await current_estimate(session, org, usage.clock.at)).accrued.major


async def test_what_is_acknowledged_is_in_the_next_estimate(usage: Usage) -> None:
    org = await priced(usage)

    await usage.record(an_event(data={"value": "301.2"}))
    assert await unfolded(usage) == 1
    assert await accrued(usage, org) == Decimal("4.02")
    await usage.record(an_event(id="e2", data={"value": "111.4"}))

    assert await accrued(usage, org) == Decimal("5.94")
    assert await unfolded(usage) == 0


async def test_an_estimate_waits_for_a_fold_under_way_rather_than_miss_it(
    usage: Usage, runtime: Runtime
) -> None:
    org = await priced(usage)
    await usage.record(an_event(data={"value": "301.2"}))
    await fold_tail(runtime)
    await usage.record(an_event(id="e2", data={"value": "111.4"}))
    shown: list[Decimal] = []

    async def look() -> None:
        shown.append(await accrued(usage, org))

    with anyio.fail_after(30):
        async with anyio.create_task_group() as group, buckets_held(runtime):
            group.start_soon(fold_shard, runtime.sessions, shard_of(org.id))
            await somebody_waits(runtime)
            group.start_soon(look)
            await somebody_waits(runtime, 2)
            assert shown == [], "it waits for the fold"

    assert shown == [Decimal("5.94")]


async def partitions(runtime: Runtime, *names: str) -> list[bool]:
    async with runtime.sessions() as session:
        return [
            bool(await session.scalar(PARTITION, {"name": f"usage_chunks_{name}"}))
            for name in names
        ]


async def test_each_month_has_its_partition_when_first_folded(
    declared: Usage, runtime: Runtime
) -> None:
    org = await fresh_organization(declared)
    instants = (
        datetime(1995, 2, 28, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime(1995, 12, 31, 23, tzinfo=UTC),
        datetime(1996, 1, 1, tzinfo=UTC),
    )
    facts = [
        replace(a_fact(org.key, 4 * number), at=at, type="volume")
        for number, at in enumerate(instants)
    ]
    await send(declared, *facts)
    assert await partitions(runtime, "1995_02", "1995_12", "1996_01") == [False] * 3

    await fold_tail(runtime)

    assert await partitions(runtime, "1995_02", "1995_12", "1996_01") == [True] * 3
    assert await partitions(runtime, "1995_01", "1995_03", "1996_02") == [False] * 3
    assert {event.occurred_at for event in await declared.events()} == set(instants)


async def test_packed_readings_are_hardly_analyzed(runtime: Runtime) -> None:
    await make_partitions(runtime.sessions, [date(1994, 7, 1)])

    async with runtime.sessions() as session:
        for table in ("usage_tail", "usage_chunks", "usage_chunks_1994_07"):
            assert await is_sampled(session, table), table
        assert not await is_sampled(session, "usage_buckets_1994_07")


async def test_two_processes_make_the_same_partition_at_once(runtime: Runtime) -> None:
    month = datetime(1994, 6, 1, tzinfo=UTC).date()

    with anyio.fail_after(30):
        async with anyio.create_task_group() as group, runtime.engine.begin() as other:
            await other.execute(text("LOCK TABLE usage_chunks IN SHARE UPDATE EXCLUSIVE MODE"))
            group.start_soon(make_partitions, runtime.sessions, [month])
            group.start_soon(make_partitions, runtime.sessions, [month])
            await somebody_waits(runtime, 2)
            assert await partitions(runtime, "1994_06") == [False]

    assert await partitions(runtime, "1994_06") == [True]


async def test_shards_fold_a_new_month_at_once(declared: Usage, runtime: Runtime) -> None:
    orgs: Iterable[Organization] = [await fresh_organization(declared) for _ in range(8)]
    at = datetime(1993, 3, 1, tzinfo=UTC)
    facts = [replace(a_fact(org.key, 4), at=at) for org in orgs]
    await send(declared, *facts)

    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            for _ in range(2):
                for shard in {shard_of(org.id) for org in orgs}:
                    group.start_soon(fold_shard, runtime.sessions, shard)

    assert await unfolded(declared) == 0
    assert len(await declared.events()) == 16
