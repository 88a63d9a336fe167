from dataclasses import replace

import httpx
from sqlalchemy import text
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.pool import NullPool

from billing.runtime import Nudges, Runtime, open_redis
from tests.web.site import visiting


async def test_a_process_that_lives_and_serves(browser: httpx.AsyncClient) -> None:
    assert (await browser.get("/healthz")).text == "ok"
    ready = await browser.get("/readyz")
    assert (ready.status_code, ready.json()) == (200, {"database": "ok", "redis": "ok"})


async def test_without_redis_it_serves_on(runtime: Runtime) -> None:
    redis = open_redis(replace(runtime.settings, redis_url="redis://127.0.0.1:9/0"))
    async with visiting(replace(runtime, nudges=Nudges(redis))) as browser:
        ready = await browser.get("/readyz")
    await redis.aclose()

    assert (ready.status_code, ready.json()) == (200, {"database": "ok", "redis": "degraded"})


async def test_without_its_database_it_lives_but_cannot_serve(runtime: Runtime) -> None:
    nowhere = create_async_engine("postgresql+asyncpg://nobody@127.0.0.1:9/x", poolclass=NullPool)
    sessions = async_sessionmaker(nowhere)
    async with visiting(replace(runtime, engine=nowhere, sessions=sessions)) as browser:
        browser.cookies.set("session", "somebody")
        ready, alive = await browser.get("/readyz"), await browser.get("/healthz")
        page = await browser.get("/orgs/acme/billing")
        data = await browser.get("/orgs/acme/billing.json")

    assert ready.status_code == 503
    assert alive.status_code == 200
    assert page.status_code == data.status_code == 503
    assert "Our database does not answer." in page.text
    assert data.json()["code"] == "UNAVAILABLE"


async def test_migrations_behind_are_not_ready_and_ahead_are(
    browser: httpx.AsyncClient, runtime: Runtime
) -> None:
    async with runtime.sessions() as session:
        head = await session.scalar(text("SELECT version_num FROM alembic_version"))

    for revision, status in (("0001", 503), ("of a later release", 200), (head, 200)):
        async with runtime.sessions.begin() as session:
            await session.execute(
                text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision}
            )
        ready = await browser.get("/readyz")
        assert ready.status_code == status, ready.text


async def test_metrics_count_by_route_and_not_by_path(browser: httpx.AsyncClient) -> None:
    await browser.get("/orgs/somebody/billing")
    await browser.get("/no/such/page")

    told = (await browser.get("/metrics")).text

    counted = 'http_requests_total{method="GET",route="/orgs/{slug}/billing",status="303"}'
    assert counted in told
    assert 'route="unmatched",status="404"' in told
    assert "somebody" not in told
    assert "live_streams 0.0" in told
