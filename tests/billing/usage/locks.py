"""Waiting until others wait: how a test knows where a transaction of another task has come to."""

from sqlalchemy import text

from billing.runtime import Runtime

_WAITING = text(
    "SELECT pid, query FROM pg_stat_activity"
    " WHERE wait_event_type = 'Lock' AND datname = current_database()"
)


async def somebody_waits(runtime: Runtime, count: int = 1) -> dict[int, str]:
    """Return once `count` connections wait for a lock: what each is at, by its process."""
    async with runtime.engine.connect() as watcher:
        while True:
            waiting = {row.pid: row.query for row in await watcher.execute(_WAITING)}
            await watcher.rollback()  # statistics are read once a transaction
            if len(waiting) >= count:
                return waiting
