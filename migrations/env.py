"""Alembic's way in: our models, our settings, one asynchronous engine."""

import asyncio

from alembic import context
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from billing.models import Base
from billing.settings import async_database_url


def migrate(connection: Connection) -> None:
    # Each in a transaction of its own, or the locks of the first would be held through the last.
    context.configure(
        connection=connection, target_metadata=Base.metadata, transaction_per_migration=True
    )
    with context.begin_transaction():
        context.run_migrations()


async def connect_and_migrate(url: str) -> None:
    engine = create_async_engine(async_database_url(url), poolclass=NullPool)
    async with engine.connect() as connection:
        await connection.run_sync(migrate)
    await engine.dispose()


asyncio.run(connect_and_migrate(context.config.attributes["database_url"]))
