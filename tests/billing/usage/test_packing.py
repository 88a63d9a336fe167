"""Hours that trickled in are packed once they are over, and nothing about their events changes."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import anyio
import pytest
from sqlalchemy import text

from billing.models import Organization
from billing.rules.periods import Period
from billing.usage import fold_tail, pack_hours, shard_of
from billing.usage.folding import WHOLE_READINGS, fold_shard
from billing.usage.months import lock_months
from billing.usage.packing import DUE
from billing.usage.recounting import differences
from tests.billing.usage import voiding
from tests.billing.usage.conftest import Usage, an_event
from tests.billing.usage.every_aggregation import a_fact, counted_right, fresh_organization
from tests.billing.usage.locks import somebody_waits
from tests.billing.usage.rescan import Fact

HOUR = datetime(2026, 10, 20, 9, tzinfo=UTC)
OVER = HOUR + timedelta(hours=1, minutes=15)
CHUNKS = text("""
SELECT form, cardinality(series_ids) AS readings FROM usage_chunks
WHERE hour = :hour AND shard = :shard ORDER BY 1, 2
""")
OVERHEAD = text("""
SELECT sum(pg_column_size(usage_chunks.*))::float / sum(cardinality(series_ids))
FROM usage_chunks WHERE hour = :hour AND shard = :shard
""")


@pytest.fixture
async def org(declared: Usage) -> Organization:
    declared.clock.at = HOUR + timedelta(minutes=30)
    return await fresh_organization(declared)


def facts_of(org: Organization, numbers: Sequence[int]) -> list[Fact]:
    """Of every form, all in the hour, each at an instant of its own."""
    return [
        replace(a_fact(org.key, number), at=HOUR + timedelta(seconds=1 + number % 1700))
        for number in numbers
    ]


async def trickle(usage: Usage, facts: Sequence[Fact]) -> None:
    """Each folded by itself, as it is where little usage comes in."""
    for fact in facts:
        [verdict] = await usage.record(fact.on_the_wire())
        assert verdict.verdict == "ACCEPTED", verdict
        await fold_tail(usage.runtime)


async def chunks_of(usage: Usage, org: Organization) -> list[tuple[str, int]]:
    async with usage.runtime.sessions() as session:
        found = await session.execute(CHUNKS, {"hour": HOUR, "shard": shard_of(org.id)})
        return [(row.form, row.readings) for row in found]


async def test_an_hour_is_packed_when_it_is_over(declared: Usage, org: Organization) -> None:
    facts = facts_of(org, range(24))
    await trickle(declared, facts)
    events, chunks = await declared.events(), await chunks_of(declared, org)
    forms = {form for form, _ in chunks}
    assert len(chunks) > 2 * len(forms) == 6, "small ones, of every form"

    declared.clock.at = OVER - timedelta(microseconds=1)
    assert await pack_hours(declared.runtime) == 0
    declared.clock.at = OVER
    assert await pack_hours(declared.runtime) == len(forms)

    packed = await chunks_of(declared, org)
    assert [form for form, _ in packed] == sorted(forms)
    assert sum(readings for _, readings in packed) == sum(readings for _, readings in chunks)
    assert sorted(map(repr, await declared.events())) == sorted(map(repr, events))
    await counted_right(declared, facts)
    assert await pack_hours(declared.runtime) == 0, "nothing is left to do"


async def test_what_is_due_is_in_an_index_of_its_own(declared: Usage, org: Organization) -> None:
    await trickle(declared, facts_of(org, range(2)))

    async with declared.runtime.sessions() as session:
        for kind in ("seqscan", "bitmapscan"):  # which few rows are too few to avoid
            await session.execute(text(f"SET LOCAL enable_{kind} = off"))
        statement = text(f"EXPLAIN {DUE.text}")
        plan = "\n".join(await session.scalars(statement, {"before": OVER, "places": 10}))

    assert "Index Only Scan using usage_chunks_2026_10_hour_shard_form_idx" in plan, plan
    assert "cardinality" not in plan, "nothing is unpacked"


async def test_what_comes_late_is_packed_with_the_rest(declared: Usage, org: Organization) -> None:
    early, late = facts_of(org, range(12)), facts_of(org, range(12, 20))
    await trickle(declared, early)
    declared.clock.at = OVER
    await pack_hours(declared.runtime)
    before = await chunks_of(declared, org)

    await trickle(declared, late)
    assert len(await chunks_of(declared, org)) > len(before)
    await pack_hours(declared.runtime)

    assert len(await chunks_of(declared, org)) == len(before)
    await counted_right(declared, early + late)


async def test_a_voided_event_stays_voided(usage: Usage) -> None:
    usage.clock.at = HOUR + timedelta(minutes=30)
    for number in range(4):
        await usage.record(an_event(id=f"p{number}", time="2026-10-20T09:10:00Z"))
        await fold_tail(usage.runtime)
    await voiding.void(usage, "p1")
    before = await usage.buckets()

    usage.clock.at = OVER
    assert await pack_hours(usage.runtime) == 1
    await voiding.void(usage, "p2")

    [bucket] = (await usage.buckets()).values()
    assert bucket.event_count == 2
    assert len(before) == 1


async def test_large_chunks_are_left_alone(declared: Usage, org: Organization) -> None:
    for part in (range(200), range(200, 400)):
        facts = facts_of(org, part)
        await declared.record(*(fact.on_the_wire() for fact in facts))
        await fold_tail(declared.runtime)
    before = await chunks_of(declared, org)
    large = [chunk for chunk in before if chunk[1] >= WHOLE_READINGS]
    assert len(large) > len({form for form, _ in large})

    declared.clock.at = OVER
    await pack_hours(declared.runtime)

    after = await chunks_of(declared, org)
    assert [chunk for chunk in after if chunk in large] == large


async def test_packing_folding_and_recounting_at_once(declared: Usage, org: Organization) -> None:
    early, late = facts_of(org, range(16)), facts_of(org, range(16, 40))
    await trickle(declared, early)
    declared.clock.at = OVER
    await declared.record(*(fact.on_the_wire() for fact in late))

    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(pack_hours, declared.runtime)
                group.start_soon(fold_shard, declared.runtime.sessions, shard_of(org.id))

    await counted_right(declared, early + late)
    async with declared.runtime.sessions() as session:
        span = Period(HOUR, HOUR + timedelta(hours=1))
        assert await differences(session, shard_of(org.id), span) == []


async def test_who_changes_the_months_is_waited_for(declared: Usage, org: Organization) -> None:
    """Archiving counts a month's chunks: none may go between that and its going."""
    await trickle(declared, facts_of(org, range(8)))
    before = await chunks_of(declared, org)
    declared.clock.at = OVER

    with anyio.fail_after(30):
        async with anyio.create_task_group() as group, declared.runtime.sessions.begin() as session:
            await lock_months(session)
            group.start_soon(pack_hours, declared.runtime)
            await somebody_waits(declared.runtime, 1)
            assert await chunks_of(declared, org) == before

    assert len(await chunks_of(declared, org)) < len(before)


async def test_what_trickles_in_takes_few_bytes(declared: Usage, org: Organization) -> None:
    await trickle(declared, facts_of(org, range(60)))
    place = {"hour": HOUR, "shard": shard_of(org.id)}
    async with declared.runtime.sessions() as session:
        loose = await session.scalar(OVERHEAD, place)

    declared.clock.at = OVER
    await pack_hours(declared.runtime)

    async with declared.runtime.sessions() as session:
        packed = await session.scalar(OVERHEAD, place)
    assert loose > 150
    assert packed < 91, "which with an identity's 109 bytes is at most 200"
