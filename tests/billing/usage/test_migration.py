"""What was recorded before usage was packed: as before to the digit, and its resends are known."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

import anyio
import pytest
from alembic import command
from sqlalchemy import Row, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, async_sessionmaker, create_async_engine

from billing.models import Organization, Verdict
from billing.runtime import Runtime
from billing.settings import async_database_url
from migrations import config_for
from sandbox.databases import drop_database, fresh_database
from sandbox.services import Services
from tests.billing.usage.conftest import Usage
from tests.billing.usage.every_aggregation import found_differences
from tests.billing.usage.old_store import EVENTS, Old, OldStore
from tests.world import Clock

ACCEPTED, DUPLICATE, CONFLICT, _ = Verdict

BUCKETS = text("""
SELECT organizations.key, slug, dimensions::text, hour, event_count, total, highest
FROM usage_buckets JOIN usage_series AS series ON series.id = usage_buckets.series_id
JOIN (SELECT id, slug FROM meters) AS meters ON meters.id = series.meter_id
JOIN (SELECT id, key FROM organizations) AS organizations ON organizations.id = series.org_id
ORDER BY 1, 2, 3, 4
""")
READINGS = text("""
SELECT key, meters.slug, series.dimensions, source, external_id, occurred_at, quantity::text,
       label, kept.recorded_at, is_folded
FROM usage_events AS kept JOIN usage_series AS series ON series.id = kept.series_id
JOIN meters ON meters.id = series.meter_id JOIN organizations ON organizations.id = series.org_id
""")


@dataclass(frozen=True)
class Migrated:
    """A store that was carried over, and the buckets it had before."""

    usage: Usage
    before: Sequence[Row[Any]]


async def all_buckets(connection: AsyncConnection) -> Sequence[Row[Any]]:
    return (await connection.execute(BUCKETS)).all()


@pytest.fixture
async def migrated(
    runtime: Runtime, shared_services: Services, clock: Clock
) -> AsyncIterator[Migrated]:
    """A database of the revision before, with usage in it, upgraded."""
    name = f"stripe_sync_test_{uuid4().hex}"
    url = await fresh_database(shared_services.database_url, name)
    engine = create_async_engine(async_database_url(url))
    await anyio.to_thread.run_sync(command.upgrade, config_for(url), "0002")
    async with engine.begin() as connection:
        await OldStore(connection).write(EVENTS)
        before = await all_buckets(connection)
    await engine.dispose()  # its connections remember plans of the tables as they were
    await anyio.to_thread.run_sync(command.upgrade, config_for(url), "head")
    sessions = async_sessionmaker(engine, expire_on_commit=False)
    async with sessions() as session:
        acme, globex = await session.scalars(select(Organization).order_by(Organization.key))
    there = replace(runtime, engine=engine, sessions=sessions, _memory={})
    yield Migrated(Usage(there, clock, acme, globex), before)
    await engine.dispose()
    await drop_database(shared_services.database_url, name)


async def sent_again(usage: Usage, *events: dict[str, object]) -> dict[object, Verdict]:
    verdicts = await usage.record(*events)
    return {
        (event["subject"], event["id"]): verdict.verdict
        for event, verdict in zip(events, verdicts, strict=True)
    }


def names(events: Sequence[Old]) -> list[tuple[str, str]]:
    return [(event.subject, event.id) for event in events]


async def test_buckets_and_readings_are_what_they_were(migrated: Migrated) -> None:
    async with migrated.usage.runtime.engine.connect() as connection:
        assert await all_buckets(connection) == migrated.before
        readings = [tuple(row) for row in await connection.execute(READINGS)]

    expected = [
        (
            *(event.subject, slug, dict(dimensions), event.source, event.id, event.at, quantity),
            *(None, event.recorded_at, True),
        )
        for event in EVENTS
        for slug, (quantity, dimensions) in event.adds.items()
    ]
    assert sorted(readings, key=str) == sorted(expected, key=str)
    assert await found_differences(migrated.usage) == []


async def test_a_resend_of_an_old_event_is_known(migrated: Migrated) -> None:
    events = [event.on_the_wire() for event in EVENTS]

    assert await sent_again(migrated.usage, *events) == dict.fromkeys(names(EVENTS), DUPLICATE)


async def test_an_old_identity_with_another_body_is_a_conflict(migrated: Migrated) -> None:
    dated = [event for event in EVENTS if event.has_time]
    for changed, events in (
        ({"data": {"value": "1.6", "highest": "7", "app": "web", "region": "eu"}}, EVENTS[:5]),
        ({"data": {"value": "1.5", "highest": "7", "app": "api", "region": "eu"}}, EVENTS[:5]),
        ({"data": None}, EVENTS[:5]),
        ({"type": "unknown"}, EVENTS),
        ({"time": "2026-11-05T00:00:00Z"}, dated),
    ):
        again = [event.on_the_wire(**changed) for event in events]

        verdicts = await sent_again(migrated.usage, *again)

        assert verdicts == dict.fromkeys(names(events), CONFLICT), changed


async def test_what_is_new_is_added_to_what_was_there(migrated: Migrated) -> None:
    usage, whole = migrated.usage, EVENTS[0]
    before = await usage.totals()

    assert await sent_again(usage, whole.on_the_wire(id="new")) == {("acme", "new"): ACCEPTED}

    after = await usage.totals()
    moved = {name: after[name] - before.get(name, 0) for name in after}
    assert {name: by for name, by in moved.items() if by} == {
        "egress_gb app=web region=eu 23h": 1.5,
        "hits where=eu 23h": 1,
        "late_peak 23h": 1.5,
        "peak 23h": 7,
    }
    assert set(after) - set(before) == {"late_peak 23h"}
    assert await found_differences(usage) == []
