"""The demo's own secrets, kept from one run to the next in a file that only its user can read."""

import json
import os
import secrets
from collections.abc import Callable
from pathlib import Path

from sandbox.toolchain import STATE

_FILE = STATE / "demo.json"


def kept(name: str, make: Callable[[], str] = lambda: secrets.token_urlsafe(32)) -> str:
    """The secret of this name, made when there is none yet."""
    known = _read(_FILE)
    if name not in known:
        keep(name, make())
    return _read(_FILE)[name]


def keep(name: str, value: str) -> None:
    """Let the secret of this name be `value` from now on."""
    STATE.mkdir(exist_ok=True)
    descriptor = os.open(_FILE, os.O_WRONLY | os.O_CREAT, 0o600)
    known = _read(_FILE) | {name: value}
    with os.fdopen(descriptor, "w") as file:
        file.truncate()
        json.dump(known, file, indent=2)


def _read(file: Path) -> dict[str, str]:
    if not file.exists():
        return {}
    known: dict[str, str] = json.loads(file.read_text() or "{}")
    return known
