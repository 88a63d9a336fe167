"""Embedded servers: really there, kept when asked to, and gone with whoever asked for them."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest
from redis.asyncio import Redis

from sandbox.databases import drop_database, fresh_database
from sandbox.embedded import PortTaken, free_port, on_free_port
from sandbox.postgres import postgres
from sandbox.services import AlreadyRunning, Services, running_services, services
from sandbox.toolchain import environment
from sandbox.valkey import valkey
from tests.processes import eventually, is_running

HOLDER = """
import json, sys
from dataclasses import asdict
from pathlib import Path
from sandbox.services import services

root = Path(sys.argv[1]) if sys.argv[1:] else None
with services(kept=root is not None, database_url=None, redis_url=None, root=root) as found:
    print(json.dumps(asdict(found)), flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def root() -> Iterator[Path]:
    """A place for kept data; not tmp_path, which the user PostgreSQL runs as could not enter."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o711)
        yield Path(directory) / "services"


async def test_both_answer_to_their_password_alone() -> None:
    with services(kept=False, database_url=None, redis_url=None) as found:
        connection = await asyncpg.connect(found.database_url)
        assert await connection.fetchval("show timezone") == "UTC"
        assert await connection.fetchval("show server_encoding") == "UTF8"
        await connection.close()
        async with Redis.from_url(found.redis_url) as redis:
            assert await redis.ping()

        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(found.database_url, password="guess")
    assert not answers(found.database_url)
    assert not answers(found.redis_url)


def test_what_is_given_is_used() -> None:
    with services(kept=True, database_url="postgresql://d", redis_url="redis://r") as found:
        assert found == Services("postgresql://d", "redis://r")


async def test_kept_data_is_there_next_time(root: Path) -> None:
    with services(kept=True, database_url=None, redis_url=None, root=root) as found:
        assert running_services(root) == found
        await fresh_database(found.database_url, "kept")
        async with Redis.from_url(found.redis_url) as redis:
            await redis.set("kept", "yes")
    assert running_services(root) is None

    with services(kept=True, database_url=None, redis_url=None, root=root) as found:
        await drop_database(found.database_url, "kept")
        async with Redis.from_url(found.redis_url) as redis:
            assert await redis.get("kept") == b"yes"


def test_a_second_demo_is_told_of_the_first(root: Path) -> None:
    first = services(kept=True, database_url="postgresql://d", redis_url=None, root=root)
    second = services(kept=True, database_url="postgresql://d", redis_url=None, root=root)
    with first, pytest.raises(AlreadyRunning, match="already running"):
        second.__enter__()


def test_data_survives_a_crash_of_the_machine(root: Path) -> None:
    with postgres(root):
        written = (root / "postgres/data/postmaster.pid").read_text()
    elsewhere = written.replace(written.split("\n")[0], str(os.getpid()), 1)
    (root / "postgres/data/postmaster.pid").write_text(elsewhere)

    with postgres(root) as url:
        assert answers(url)


def test_a_server_can_come_back_under_its_old_url(root: Path) -> None:
    port = free_port()
    urls = []
    for _ in range(2):
        with valkey(root, port) as url:
            assert answers(url)
            urls.append(url)
    assert urls[0] == urls[1]


@pytest.mark.parametrize("server", [postgres, valkey])
def test_a_taken_port_is_reported_as_such(
    server: Callable[[None, int], AbstractContextManager[str]],
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as squatter:
        with pytest.raises(PortTaken), server(None, squatter.getsockname()[1]):
            pass
        assert free_port(squatter.getsockname()[1]) != squatter.getsockname()[1]


def test_another_port_is_tried_when_one_is_taken() -> None:
    tried: list[int] = []

    def start(port: int) -> str:
        tried.append(port)
        if len(tried) == 1:
            raise PortTaken
        return f"at {port}"

    assert on_free_port(start) == f"at {tried[1]}"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_disposable_servers_go_with_whoever_started_them(
    root: Path, number: signal.Signals
) -> None:
    held, found = holder(None, temporary=root.parent)
    (pid_file,) = root.parent.glob("stripe-sync-postgres-*/data/postmaster.pid")
    pid = int(pid_file.read_text().split("\n")[0])

    os.killpg(held.pid, number)  # as Ctrl-C does: whoever is in its group

    eventually(lambda: not is_running(pid) and not answers(found.redis_url))
    eventually(lambda: not [*root.parent.glob("stripe-sync-[pv]*-*")])
    held.communicate()


def test_kept_servers_go_when_the_demo_is_killed_and_their_data_stays(root: Path) -> None:
    held, killed = holder(root)
    held.kill()
    held.communicate()

    with services(kept=True, database_url=None, redis_url=None, root=root) as found:
        assert urlsplit(found.database_url).password == urlsplit(killed.database_url).password
        assert answers(found.database_url)
    assert not answers(killed.database_url)
    assert not answers(killed.redis_url)


def holder(
    root: Path | None, *, temporary: Path | None = None
) -> tuple[subprocess.Popen[str], Services]:
    """Another process that has services open, as a demo would."""
    arguments = [str(root)] if root else []
    held = subprocess.Popen(
        [sys.executable, "-c", HOLDER, *arguments],
        env=environment({"TMPDIR": str(temporary)} if temporary else {}),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        text=True,
    )
    assert held.stdout
    return held, Services(**json.loads(held.stdout.readline()))


def answers(url: str) -> bool:
    """Whether anything listens there."""
    address = urlsplit(url)
    with suppress(OSError), socket.create_connection((address.hostname, address.port), 1):
        return True
    return False
