"""A real server process, told to stop while pages are live."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import httpx

from billing.runtime import Runtime
from tests.web.site import Acme, sign_in

STOP_SECONDS_MAX = 10
"""A stream left to itself would hold the server for ten minutes."""


@asynccontextmanager
async def a_server(runtime: Runtime) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """`uvicorn --factory web.app:app_factory`, configured by its environment alone."""
    settings = runtime.settings
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "uvicorn", "--factory", "web.app:app_factory", "--port", "0"),
        env={
            "PATH": os.environ["PATH"],  # noqa: TID251 - for the process alone
            "ENVIRONMENT": "test",
            "DATABASE_URL": settings.database_url,
            "REDIS_URL": settings.redis_url,
            "STRIPE_API_KEY": settings.stripe_api_key,
            "SECRET_KEY": settings.secret_key,
        },
        stderr=PIPE,
    )
    assert process.stderr
    async for line in process.stderr:
        if b"running on http://" in line:
            yield process, line.decode().partition("running on ")[2].split()[0]
            break
    if process.returncode is None:
        process.kill()
    await process.wait()


async def test_live_pages_do_not_hold_a_server_that_stops(runtime: Runtime, acme: Acme) -> None:
    async with a_server(runtime) as (process, url), httpx.AsyncClient(base_url=url) as browser:
        await sign_in(browser, runtime, acme.email)
        async with browser.stream("GET", f"{acme.path}/stream", timeout=20) as stream:
            lines = stream.aiter_lines()
            assert await anext(lines)
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(STOP_SECONDS_MAX):
                with suppress(httpx.RemoteProtocolError):  # cut off in mid-stream, and fine so
                    async for _ in lines:
                        pass
                await process.wait()
    assert process.returncode in {0, -signal.SIGTERM}
