"""The real worker in a process of its own, against a real Redis that goes and comes back."""

import asyncio
import sys
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

from sqlalchemy import func, select

from billing.models import Invoice, InvoiceStatus
from billing.runtime import Runtime
from sandbox.supervisor import Child, Supervisor
from sandbox.valkey import valkey
from tests.factories import an_organization
from tests.world import NOVEMBER_10

PATIENCE_SECONDS = 40


def worker(runtime: Runtime, redis_url: str) -> Child:
    """`python -m jobs.worker`, as the Procfile has it."""
    environment = {
        "ENVIRONMENT": "test",
        "DATABASE_URL": runtime.settings.database_url,
        "REDIS_URL": redis_url,
        "STRIPE_API_KEY": runtime.settings.stripe_api_key,
        "STRIPE_API_BASE": str(runtime.settings.stripe_api_base),
        "SECRET_KEY": runtime.settings.secret_key,
    }
    return Child("worker", [sys.executable, "-m", "jobs.worker"], environment)


async def an_ended_period(runtime: Runtime) -> None:
    """One that ended long ago by any clock, so the worker's own finds it due."""
    async with runtime.sessions.begin() as session:
        org = await an_organization(session)
        org.open_period_end = NOVEMBER_10.replace(year=2020, day=1)


async def until_issued(runtime: Runtime, at_least: int) -> None:
    issued = select(func.count()).where(Invoice.status != InvoiceStatus.CLOSING)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            async with runtime.sessions() as session:
                if (await session.scalar(issued) or 0) >= at_least:
                    return
            await asyncio.sleep(0.1)


async def test_the_worker_sweeps_without_being_asked_and_comes_back_with_redis(
    runtime: Runtime, tmp_path: Path
) -> None:
    with ExitStack() as first:
        url = first.enter_context(valkey(tmp_path))
        async with Supervisor([worker(runtime, url)], lambda line: None):
            await an_ended_period(runtime)
            await until_issued(runtime, 12)
            first.close()
            await an_ended_period(runtime)
            async with runtime.sessions() as session:
                before = await session.scalar(select(func.count()).select_from(Invoice)) or 0
            with valkey(tmp_path, urlsplit(url).port) as again:
                assert again == url
                await until_issued(runtime, before + 12)
