"""What the embedded servers share: where they live, as whom they run, how they start and end."""

import fcntl
import hashlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TextIO

from sandbox import lifeline
from sandbox.toolchain import REPOSITORY, STATE

START_SECONDS_MAX = 120.0  # recovering from a crash of the machine included
STOP_SECONDS_MAX = 20.0
PORT_ATTEMPTS_MAX = 5


class SandboxError(Exception):
    """The sandbox cannot do what was asked; the message is for the person who asked."""


class PortTaken(SandboxError):
    """Someone else was faster to listen on the port that was free a moment ago."""


@dataclass(frozen=True, slots=True)
class Home:
    """The directory of one embedded server, which runs as `account` if that is named."""

    directory: Path
    is_kept: bool
    account: str | None
    lock: int

    @property
    def log(self) -> Path:
        """What the server said since its last start."""
        return self.directory / "log"

    def password(self) -> str:
        """The server's password: it listens on 127.0.0.1, where all users of a machine knock."""
        file = self.directory / "password"
        if not file.exists():
            file.write_text(secrets.token_hex(32))
        self.give(file)
        return file.read_text()

    def give(self, path: Path) -> None:
        """Make `path` the server's, and for no one else to read."""
        path.chmod(0o700 if path.is_dir() else 0o600)
        if self.account:
            shutil.chown(path, self.account)


def kept_root() -> Path:
    """Where this checkout keeps the data of its embedded servers.

    PostgreSQL refuses to run as root, so for root it runs as someone who may be unable to enter
    the checkout. Rather than open the way to it, root keeps the data in the temporary directory.
    """
    if os.geteuid() != 0:
        return STATE / "services"
    checkout = hashlib.sha256(bytes(REPOSITORY)).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"stripe-sync-{checkout}"


def owned_directory(path: Path) -> Path:
    """`path`, made if need be. Raises `SandboxError` where it is another user's."""
    path.mkdir(mode=0o711, parents=True, exist_ok=True)
    if path.is_symlink() or path.lstat().st_uid != os.geteuid():
        raise SandboxError(f"{path} belongs to another user. Remove it and try again.")
    return path


def package_directory(package: str) -> Path:
    """Where an installed package's files are, found without importing it."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise SandboxError(f"The package {package} is missing. Run `make setup`.")
    return Path(spec.origin).parent


@contextmanager
def home(name: str, root: Path | None, account: str | None = None) -> Iterator[Home]:
    """The home `name` under `root`, ours alone until left; without a root, one that then goes.

    Waits for a server that is still shutting down there. Raises `SandboxError` if it does not end.
    """
    if root:
        directory = owned_directory(root) / name
        directory.mkdir(exist_ok=True)
    else:
        directory = Path(tempfile.mkdtemp(prefix=f"stripe-sync-{name}-"))
    try:
        with locked(directory / "lock", STOP_SECONDS_MAX) as lock:
            found = Home(directory, root is not None, account, lock)
            found.give(directory)
            yield found
    finally:
        if not root:
            shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def locked(file: Path, seconds: float) -> Iterator[int]:
    """Hold `file`'s lock, and give its descriptor: a child that inherits it holds the lock too.

    Raises `SandboxError` if others still hold it after so many seconds.
    """
    with file.open("w") as opened:
        deadline = time.monotonic() + seconds
        while not _lock(opened.fileno()):
            if time.monotonic() > deadline:
                raise SandboxError(f"{file} is in use by another process.")
            time.sleep(0.05)
        yield opened.fileno()


def _lock(descriptor: int) -> bool:
    with suppress(BlockingIOError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


@contextmanager
def running(
    home: Home, program: Sequence[str], *, stop: signal.Signals, is_ready: Callable[[], bool]
) -> Iterator[None]:
    """Run a server in its home until left. Whoever kills us ends the server too.

    Raises `PortTaken`, or `SandboxError` with the server's last words if it does not start.
    """
    line = lifeline.command(
        program,
        stop=stop,
        grace_seconds=STOP_SECONDS_MAX,
        remove=None if home.is_kept else home.directory,
        account=home.account,
    )
    with home.log.open("w") as log:
        said = home.log.open()  # opened now, as a disposable home goes when its server ends
        process = subprocess.Popen(
            line,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            cwd=home.directory,
            start_new_session=True,
            pass_fds=[home.lock],
        )
    assert process.stdin, "asked for"
    try:
        with said:
            _await_start(process, is_ready, said)
        yield
    finally:
        process.stdin.close()
        process.wait(STOP_SECONDS_MAX * 2)


def _await_start(
    process: subprocess.Popen[bytes], is_ready: Callable[[], bool], log: TextIO
) -> None:
    deadline = time.monotonic() + START_SECONDS_MAX
    while process.poll() is None and time.monotonic() < deadline:
        if is_ready():
            return
        time.sleep(0.01)
    said = log.read()
    if "Address already in use" in said:
        raise PortTaken(said)
    raise SandboxError(f"An embedded server did not start. Its last words:\n{said[-2000:]}")


def on_free_port(start: Callable[[int], str]) -> str:
    """Whatever `start` answers for a free port; asked again if another program takes it first."""
    for _ in range(PORT_ATTEMPTS_MAX - 1):
        with suppress(PortTaken):
            return start(free_port())
    return start(free_port())


def free_port(preferred: int = 0) -> int:
    """`preferred` if nothing listens there on 127.0.0.1, else any port that is free now."""
    with socket.socket() as probe:
        # As servers do it, so that connections still fading from a last run do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", preferred))
        except OSError:
            return free_port()
        port: int = probe.getsockname()[1]
        return port
