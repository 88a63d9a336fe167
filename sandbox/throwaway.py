"""A database for once: migrated, with a clock set by hand, and gone with the servers it is on."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from urllib.parse import urlsplit, urlunsplit

from alembic import command

from billing.runtime import Runtime, open_runtime
from billing.settings import Settings, load_settings
from migrations import config_for
from sandbox.databases import fresh_database
from sandbox.services import Services


@dataclass(slots=True)
class HandClock:
    """Stands still until it is set."""

    at: datetime

    async def __call__(self) -> datetime:
        return self.at


async def databases(found: Services, names: list[str]) -> list[Services]:
    """An empty database for each name, and a number of Redis beside it."""
    redis = urlsplit(found.redis_url)
    return [
        Services(
            await fresh_database(found.database_url, name),
            urlunsplit(redis._replace(path=f"/{number}")),
        )
        for number, name in enumerate(names, start=1)
    ]


def migrated(found: Services) -> Settings:
    """Settings of a process on this database, once every migration has run. Stripe is nowhere."""
    command.upgrade(config_for(found.database_url), "head")
    return load_settings(
        {
            "ENVIRONMENT": "test",
            "DATABASE_URL": found.database_url,
            "REDIS_URL": found.redis_url,
            "STRIPE_API_KEY": "sk_test_of_nobody",
            "STRIPE_API_BASE": "http://127.0.0.1:9",
            "SECRET_KEY": "of-a-world-that-is-thrown-away-afterwards",
        }
    )


@asynccontextmanager
async def opened(settings: Settings, clock: HandClock) -> AsyncIterator[Runtime]:
    """The runtime of such a process."""
    async with open_runtime(settings) as runtime:
        yield replace(runtime, now=clock)
