"""The servers everything is measured on: a durable PostgreSQL, and a Valkey, both disposable.

Not those of DATABASE_URL: a figure means nothing without the settings it was measured with.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import MappingProxyType

from sandbox.embedded import home, on_free_port, running
from sandbox.postgres import DATABASE, USER, programs
from sandbox.services import Services
from sandbox.valkey import valkey

SETTINGS = MappingProxyType(
    {
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "shared_buffers": "6GB",
        "max_wal_size": "12GB",
        "checkpoint_timeout": "15min",
        "max_connections": "200",
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "timezone": "UTC",
        "log_timezone": "UTC",
    }
)
"""All else is PostgreSQL's default. The limits and the product are measured with the same."""

_ROOTS_STAND_IN = "nobody"
_START = """
set -e
"$0/initdb" --pgdata=data --username="$1" --pwfile=password --auth=scram-sha-256 \
    --encoding=UTF8 --locale=C --set=scram_iterations=1 --no-instructions --no-sync
shift
exec "$0/postgres" -D data "$@"
"""


@contextmanager
def servers() -> Iterator[Services]:
    """Both servers, empty, for as long as the block lasts; their data goes with them."""
    with ExitStack() as stack:
        database_url = on_free_port(lambda port: stack.enter_context(_postgres(port)))
        yield Services(database_url, stack.enter_context(valkey(root=None)))


@contextmanager
def _postgres(port: int) -> Iterator[str]:
    account = _ROOTS_STAND_IN if os.geteuid() == 0 else None
    with home("bench", root=None, account=account) as found:
        password = found.password()
        options = [f"--{name}={value}" for name, value in SETTINGS.items()]
        program = ["sh", "-c", _START, str(programs()), USER, f"--port={port}", *options]
        with running(
            found,
            program,
            stop=signal.SIGQUIT,  # its data is thrown away
            is_ready=lambda: _is_ready(found.directory / "data" / "postmaster.pid"),
        ):
            yield f"postgresql://{USER}:{password}@127.0.0.1:{port}/{DATABASE}"


def _is_ready(pid_file: Path) -> bool:
    """What the server says of itself in the last line of its pid file."""
    with suppress(FileNotFoundError):
        lines = pid_file.read_text().splitlines()
        return len(lines) == 8 and lines[7].strip() == "ready"
    return False
