"""The pool of connections to PostgreSQL, which tells a dead connection from a live one.

Asking before every use, as SQLAlchemy's own `pool_pre_ping` does, takes three round trips with
asyncpg: more than most of what follows. A server that went away closes its connections, which the
driver knows without asking; only one that was idle for long is asked, for a firewall may have
forgotten it in silence.
"""

from time import monotonic
from typing import Any

from sqlalchemy import event
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from billing.settings import Settings

IDLE_SECONDS_MAX = 30.0
_POOL_SIZE = 10
_USED_AT = "used_at"


def open_engine(settings: Settings) -> AsyncEngine:
    """Connections that are looked at when taken: a restarted database costs nobody an error."""
    engine = create_async_engine(settings.database_url, pool_size=_POOL_SIZE, pool_use_lifo=True)
    event.listen(engine.sync_engine, "checkout", _look_at)
    event.listen(engine.sync_engine, "checkin", _note_use)
    return engine


def _look_at(connection: Any, record: Any, _proxy: object) -> None:  # noqa: ANN401 - SQLAlchemy's
    """Raise `DisconnectionError`, and the pool makes another, if this one is dead."""
    if connection.driver_connection.is_closed():
        raise DisconnectionError("The server has closed it.")
    used_at = record.info.get(_USED_AT)
    if used_at is not None and monotonic() - used_at > IDLE_SECONDS_MAX:
        try:
            connection.ping()
        except Exception as error:  # whatever it is, another one is better
            raise DisconnectionError("It does not answer.") from error


def _note_use(_connection: object, record: Any) -> None:  # noqa: ANN401 - SQLAlchemy's
    record.info[_USED_AT] = monotonic()
