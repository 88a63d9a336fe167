"""PostgreSQL and Redis for the sandbox: those given by URL, or embedded ones started here."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from sandbox.embedded import SandboxError, kept_root, locked, owned_directory
from sandbox.postgres import postgres
from sandbox.valkey import valkey


@dataclass(frozen=True, slots=True)
class Services:
    """Where PostgreSQL and Redis answer."""

    database_url: str
    redis_url: str


class AlreadyRunning(SandboxError):
    """Another process has the kept services of this checkout."""


@contextmanager
def services(
    *, kept: bool, database_url: str | None, redis_url: str | None, root: Path | None = None
) -> Iterator[Services]:
    """What is given, and an embedded server for each that is not, for as long as the block lasts.

    Kept data is there again next time, under `root` or where this checkout keeps it, for one
    process at a time. Otherwise each server starts empty and its data goes with it.
    Raises `AlreadyRunning`, or `SandboxError` with the reason when a server does not start.
    """
    with ExitStack() as stack:
        place = None
        if kept and not (database_url and redis_url):
            place = stack.enter_context(_claimed(root or kept_root()))
        found = Services(
            database_url or stack.enter_context(postgres(place)),
            redis_url or stack.enter_context(valkey(place)),
        )
        if place:
            stack.enter_context(_announced(found, place))
        yield found


def running_services(root: Path | None = None) -> Services | None:
    """The kept services that another process, such as a demo, has running now."""
    place = root or kept_root()
    with suppress(FileNotFoundError):
        announced = json.loads(_announcement(place).read_text())
        return Services(**announced) if _is_claimed(place) else None
    return None


@contextmanager
def _claimed(root: Path) -> Iterator[Path]:
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(owned_directory(root) / "lock", seconds=0))
        except SandboxError:
            raise AlreadyRunning(
                "This checkout's sandbox is already running, in another terminal perhaps."
                " End that one first, or set DATABASE_URL and REDIS_URL to run beside it."
            ) from None
        yield root


def _is_claimed(root: Path) -> bool:
    try:
        with locked(root / "lock", seconds=0):
            return False
    except SandboxError:
        return True


@contextmanager
def _announced(found: Services, root: Path) -> Iterator[None]:
    file = _announcement(root)
    file.touch(mode=0o600)
    file.write_text(json.dumps(asdict(found)))
    yield
    file.unlink()


def _announcement(root: Path) -> Path:
    return root / "running.json"
