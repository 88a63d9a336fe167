"""Whether the database is away, was overtaken, or has answered that we are wrong."""

import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from asyncpg import PostgresError
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from billing.errors import Conflict

DATABASE_ERRORS: tuple[type[Exception], ...] = (DBAPIError, PostgresError, PoolTimeout, OSError)
"""What may be raised where a database is asked; some OSErrors are a connection we cannot have."""

# SQLSTATE classes and codes after which the same request may well succeed: connection lost, out of
# resources, being stopped or started, deadlock, lock not had, fail-over to a read-only standby.
_PASSING_SQLSTATES = ("08", "53", "57P0", "40001", "40P01", "55P03", "25006")

# None: where a host has several addresses, asyncio sums up their failures in an unnumbered OSError.
_NETWORK_ERRNOS = {None, errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTDOWN, errno.EHOSTUNREACH}


def is_database_away(error: BaseException) -> bool:
    """Whether it is merely away or busy, so that trying again later makes sense."""
    if isinstance(error, PoolTimeout | ConnectionError | TimeoutError | socket.gaierror):
        return True
    if isinstance(error, OSError):
        return error.errno in _NETWORK_ERRNOS
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    sqlstate = getattr(getattr(error, "orig", error), "sqlstate", None) or ""
    return sqlstate.startswith(_PASSING_SQLSTATES)


_SERIALIZATION_FAILURE = "40001"


class ChangedMeanwhile(Conflict):
    """Somebody else changed what was being worked on: nothing was done, and trying again helps."""

    code = "CHANGED_MEANWHILE"


@contextmanager
def refusing_when_overtaken() -> Iterator[None]:
    """Raise `ChangedMeanwhile` where a snapshot was overtaken by somebody else's commit."""
    try:
        yield
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) == _SERIALIZATION_FAILURE:
            raise ChangedMeanwhile("The organization changed meanwhile: try again.") from None
        raise
