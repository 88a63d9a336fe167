"""Connections that the server has closed are replaced before anybody uses them."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from billing import database
from billing.database import open_engine
from billing.runtime import Runtime

_PID = text("SELECT pg_backend_pid()")


@pytest.fixture
async def engine(runtime: Runtime) -> AsyncIterator[AsyncEngine]:
    opened = open_engine(runtime.settings)
    yield opened
    await opened.dispose()


async def pid_of(engine: AsyncEngine) -> int:
    async with engine.connect() as connection:
        found: int = (await connection.execute(_PID)).scalar_one()
        return found


async def test_one_connection_is_used_again_and_again(engine: AsyncEngine) -> None:
    assert await pid_of(engine) == await pid_of(engine)


@pytest.mark.parametrize("idle_seconds", [database.IDLE_SECONDS_MAX, -1.0])
async def test_a_connection_that_the_server_has_ended_is_nobodys_error(
    engine: AsyncEngine, runtime: Runtime, monkeypatch: pytest.MonkeyPatch, idle_seconds: float
) -> None:
    before = await pid_of(engine)
    monkeypatch.setattr(database, "IDLE_SECONDS_MAX", idle_seconds)
    async with runtime.sessions() as session:
        await session.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": before})

    assert await pid_of(engine) != before


async def test_one_that_was_idle_for_long_is_asked(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await pid_of(engine)
    monkeypatch.setattr(database, "IDLE_SECONDS_MAX", -1.0)

    assert await pid_of(engine) == before, "and answers"
