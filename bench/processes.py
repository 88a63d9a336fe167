"""Processes that are measured: the product's as its Procfile starts them, and a bare endpoint."""

import asyncio
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from bench.figures import progress
from sandbox import lifeline
from sandbox.embedded import SandboxError, free_port
from sandbox.patience import until
from sandbox.services import Services
from sandbox.toolchain import REPOSITORY, environment

HOST = "127.0.0.1"
PRODUCT = "web.app:app_factory"
BARE = "bench.bare:app_factory"
_START_SECONDS_MAX = 30.0
_STOP_SECONDS_MAX = 20.0
_LINES_SHOWN = 40


@dataclass(frozen=True, slots=True)
class Served:
    """A web process: where it answers, and the number the kernel knows it by."""

    url: str
    pid: int

    def resident_mib(self) -> float:
        """How much memory it holds now."""
        return self._memory("VmRSS")

    def peak_mib(self) -> float:
        """The most it has held."""
        return self._memory("VmHWM")

    def _memory(self, name: str) -> float:
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) / 1024
        raise SandboxError("Memory is measured by /proc, which is Linux's.")


def settings_of(services: Services) -> dict[str, str]:
    """What the product's processes are told, as environment variables."""
    return {
        "ENVIRONMENT": "test",
        "DATABASE_URL": services.database_url,
        "REDIS_URL": services.redis_url,
        "STRIPE_API_KEY": "sk_test_never_called",
        "SECRET_KEY": "0" * 64,
        "LOG_LEVEL": "WARNING",
    }


@asynccontextmanager
async def web(app: str, settings: dict[str, str]) -> AsyncIterator[Served]:
    """One web process, by the options of the Procfile but listening for us alone."""
    port = free_port()
    argv = [sys.executable, "-m", "uvicorn", app, *_options(), "--host", HOST, "--port", str(port)]
    with _running(argv, settings) as lifeline_pid:
        await until(lambda: _accepts(port), _START_SECONDS_MAX)
        yield Served(f"http://{HOST}:{port}", _child_of(lifeline_pid))


@asynccontextmanager
async def worker(settings: dict[str, str]) -> AsyncIterator[None]:
    """The product's worker, which folds every few seconds."""
    with _running([sys.executable, "-m", "jobs.worker"], settings):
        yield


def _options() -> list[str]:
    """How the Procfile starts the web, save where it listens."""
    lines = (REPOSITORY / "Procfile").read_text().splitlines()
    [command] = [line.partition(":")[2].split() for line in lines if line.startswith("web:")]
    assert command[:2] == ["uvicorn", PRODUCT], command
    options = command[2:]
    for name in ("--host", "--port"):
        place = options.index(name)
        del options[place : place + 2]
    return options


@contextmanager
def _running(argv: Sequence[str], settings: dict[str, str]) -> Iterator[int]:
    """A process that does not outlive us, however we end. Its complaints are shown if we fail."""
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            lifeline.command(argv),
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=said,
            stderr=subprocess.STDOUT,
            env=environment({**settings, "PYTHONUNBUFFERED": "1"}),
            start_new_session=True,
        )
        assert process.stdin, "asked for"
        try:
            yield process.pid
        except Exception:
            _show_complaints(said)
            raise
        finally:
            process.stdin.close()
            process.wait(_STOP_SECONDS_MAX)


def _show_complaints(said: IO[bytes]) -> None:
    said.seek(0)
    lines = [line.decode(errors="replace").rstrip() for line in said]
    for line in [line for line in lines if not line.startswith("INFO:")][-_LINES_SHOWN:]:
        progress(f"  | {line}")


async def _accepts(port: int) -> bool:
    with suppress(OSError):
        _, writer = await asyncio.open_connection(HOST, port)
        writer.close()
        return True
    return False


def _child_of(pid: int) -> int:
    """The program itself: a lifeline has one child."""
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])
