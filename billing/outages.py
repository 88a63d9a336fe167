"""Whether the database is away, or has answered that we are wrong."""

from asyncpg import PostgresError
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

DATABASE_ERRORS: tuple[type[Exception], ...] = (DBAPIError, PostgresError, PoolTimeout, OSError)
"""What may be raised where a database is asked; OSError is a connection that cannot be had."""

# SQLSTATE classes and codes after which the same request may well succeed: connection lost, out of
# resources, being stopped or started, deadlock, lock not had, fail-over to a read-only standby.
_PASSING_SQLSTATES = ("08", "53", "57P0", "40001", "40P01", "55P03", "25006")


def is_database_away(error: BaseException) -> bool:
    """Whether it is merely away or busy, so that trying again later makes sense."""
    if isinstance(error, OSError | PoolTimeout):
        return True
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    sqlstate = getattr(getattr(error, "orig", error), "sqlstate", None) or ""
    return sqlstate.startswith(_PASSING_SQLSTATES)
