"""How complete usage is, on the page, in its twin and for Prometheus."""

from dataclasses import replace
from datetime import timedelta

import httpx
import pytest
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.pool import NullPool

from billing.accounts import COMMAND_LINE
from billing.runtime import Runtime
from billing.usage import NumberText
from billing.usage.comparing import check_control_totals
from billing.usage.heartbeat_shapes import parse_heartbeat
from billing.usage.heartbeats import record_heartbeat
from tests.web.site import Acme, text_of, use, visiting
from tests.world import Clock

HOSTILE = "<b>`x`"


async def beat(
    runtime: Runtime,
    clock: Clock,
    meter: str,
    source: str = "test",
    minutes: int = 0,
    count: int = 1,
) -> None:
    """A heartbeat of so many minutes ago; it says that an hour of the meter had `count` events."""
    total = {"hour": "2026-11-10T13:00:00Z", "meter": meter, "count": NumberText(count), "sum": "2"}
    through = (clock.at - timedelta(minutes=minutes)).isoformat()
    heartbeat = parse_heartbeat({"source": source, "through": through, "hours": [total]})
    async with runtime.sessions.begin() as session:
        await record_heartbeat(session, heartbeat, viewer=COMMAND_LINE, now=clock.at)


@pytest.fixture
async def used(runtime: Runtime, acme: Acme, clock: Clock) -> Acme:
    """Acme, with two gigabytes used an hour ago, as its source `test` says."""
    clock.at -= timedelta(minutes=30)
    await use(runtime, acme, "2", "one")
    clock.at += timedelta(minutes=30)
    return acme


async def test_the_page_says_what_is_complete(
    dana: httpx.AsyncClient, used: Acme, runtime: Runtime, clock: Clock
) -> None:
    before = text_of((await dana.get(used.path)).text)
    assert "behind" not in before
    assert "test 13:30:00 UTC 13:30:00 UTC not known" in before

    await beat(runtime, clock, used.meter)
    page = text_of((await dana.get(used.path)).text)
    assert "test is current." in page
    assert "test 13:30:00 UTC 13:30:00 UTC 14:00:00 UTC" in page

    clock.advance(timedelta(minutes=40))
    html = (await dana.get(used.path)).text
    assert "<br>Acme egress from <code>test</code> is 40 minutes behind." in html


async def test_the_page_says_which_totals_differ(
    dana: httpx.AsyncClient, used: Acme, runtime: Runtime, clock: Clock
) -> None:
    await beat(runtime, clock, used.meter, count=1200)
    await check_control_totals(runtime)

    page = text_of((await dana.get(used.path)).text)

    assert "test says it sent 1,200 events for 13:00 UTC and 1 has come." in page
    assert "14:00:00 UTC , 1 total differs" in page


async def test_the_twin_tells_the_same(
    dana: httpx.AsyncClient, used: Acme, runtime: Runtime, clock: Clock
) -> None:
    await beat(runtime, clock, used.meter, minutes=20, count=3)
    await check_control_totals(runtime)

    told = (await dana.get(f"{used.path}.json")).json()

    assert told["completeness"].startswith("acme egress from `test` is 20 minutes behind, ")
    assert told["sources"] == [
        {
            "source": "test",
            "meters": ["acme egress"],
            "last_occurred_at": "2026-11-10T13:30:00.000000Z",
            "last_recorded_at": "2026-11-10T13:30:00.000000Z",
            "through": "2026-11-10T13:40:00.000000Z",
            "behind_seconds": 1200,
            "missing_hours": [
                {
                    "hour": "2026-11-10T13:00:00.000000Z",
                    "meter": "acme egress",
                    "sent_events": 3,
                    "counted_events": 1,
                    "sent_total": "2",
                    "counted_total": "2",
                }
            ],
        }
    ]


async def test_a_sources_name_is_never_markup(
    dana: httpx.AsyncClient, used: Acme, runtime: Runtime, clock: Clock
) -> None:
    async with runtime.sessions.begin() as session:
        org = replace(COMMAND_LINE, org_id=used.org.id)
        through = (clock.at - timedelta(hours=1)).isoformat()
        heartbeat = parse_heartbeat({"source": HOSTILE, "through": through})
        await record_heartbeat(session, heartbeat, viewer=org, now=clock.at)

    page = (await dana.get(used.path)).text

    assert "<b>" not in page
    assert "&lt;b&gt;" in page


async def test_prometheus_is_told_of_gaps(
    browser: httpx.AsyncClient, used: Acme, runtime: Runtime, clock: Clock
) -> None:
    await beat(runtime, clock, used.meter, minutes=20, count=3)
    await check_control_totals(runtime)

    told = (await browser.get("/metrics")).text

    assert "usage_source_gaps 1.0" in told
    assert "usage_sources_behind 1.0" in told


async def test_without_its_database_prometheus_is_told_all_else(runtime: Runtime) -> None:
    nowhere = create_async_engine("postgresql+asyncpg://nobody@127.0.0.1:9/x", poolclass=NullPool)
    lost = replace(runtime, engine=nowhere, sessions=async_sessionmaker(nowhere))
    async with visiting(lost) as browser:
        answer = await browser.get("/metrics")

    assert answer.status_code == 200
    assert "usage_source_gaps NaN" in answer.text
    assert "live_streams" in answer.text
