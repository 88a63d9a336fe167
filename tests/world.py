"""The world of a test: a migrated database emptied afterwards, a clock set by hand, a Runtime.

Sessions commit for real, so locks and races can be tested; rows are deleted after each test.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from alembic import command
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker, create_async_engine

from billing.models import Base
from billing.runtime import Nudges, Runtime, Sessions, open_redis
from billing.settings import Environment, Settings, async_database_url
from billing.stripe_gateway import open_stripe
from migrations import config_for

NOVEMBER_10 = datetime(2026, 11, 10, 14, 0, tzinfo=UTC)
NOBODY = "http://127.0.0.1:9"
"""An address nobody listens on: Stripe is down unless a test starts the fake."""


@dataclass(slots=True)
class Clock:
    """A clock that stands still until a test moves it."""

    at: datetime = NOVEMBER_10

    async def __call__(self) -> datetime:
        return self.at

    def advance(self, by: timedelta) -> datetime:
        """Move on, and answer the new instant."""
        self.at += by
        return self.at


@pytest.fixture(scope="session")
def migrated_url(database_url: str) -> str:
    """The worker's own database, with every migration run once."""
    command.upgrade(config_for(database_url), "head")
    return database_url


@pytest.fixture
async def engine(migrated_url: str) -> AsyncIterator[AsyncEngine]:
    """One for each test: a test has its own event loop, and connections belong to one."""
    engine = create_async_engine(async_database_url(migrated_url))
    yield engine
    async with engine.begin() as connection:
        await connection.execute(text(EMPTY_EVERYTHING))
    await engine.dispose()


EMPTY_EVERYTHING = f"""
DO $$ BEGIN
    SET LOCAL session_replication_role = replica;
    SET LOCAL lock_timeout = '10s';
    {"".join(f"DELETE FROM {table.name};" for table in Base.metadata.sorted_tables)}
END $$
"""
"""Past the triggers that freeze invoices, and a hundred times faster than TRUNCATE on few rows."""


@pytest.fixture
def sessions(engine: AsyncEngine) -> Sessions:
    return async_sessionmaker(engine, expire_on_commit=False)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def settings(migrated_url: str, redis_url: str) -> Settings:
    return Settings(
        environment=Environment.TEST,
        database_url=async_database_url(migrated_url),
        redis_url=redis_url,
        stripe_api_key="sk_test_local",
        stripe_api_base=NOBODY,
        stripe_webhook_secrets=("whsec_test",),
        secret_key="a-secret-for-tests-that-is-long-enough",
        base_url="http://127.0.0.1:8000",
        log_level="INFO",
    )


@pytest.fixture
async def runtime(
    settings: Settings, engine: AsyncEngine, sessions: Sessions, clock: Clock
) -> AsyncIterator[Runtime]:
    """Everything real but the clock; Stripe is unreachable until a test gives it an address."""
    nudges = Nudges(open_redis(settings))
    await nudges.redis.flushdb()
    async with open_stripe(settings) as stripe:
        yield Runtime(settings, engine, sessions, stripe, nudges, clock)
    await nudges.aclose()


def in_environment(runtime: Runtime, environment: Environment) -> Runtime:
    """The same world under another name: what only the sandbox may do is tested both ways."""
    return replace(runtime, settings=replace(runtime.settings, environment=environment))
