"""The demo's own secrets, kept from one run to the next in a file that only its user can read."""

import json
import os
import secrets

from sandbox.toolchain import STATE

_FILE = STATE / "demo.json"


def secret(name: str) -> str:
    """The random secret of this name, made the first time it is asked for."""
    known = find(name)
    if known is None:
        known = secrets.token_urlsafe(32)
        keep(name, known)
    return known


def find(name: str) -> str | None:
    """What is kept under this name, if anything is."""
    return _all().get(name)


def keep(name: str, value: str) -> None:
    """Keep `value` under this name from now on."""
    known = json.dumps(_all() | {name: value}, indent=2)
    STATE.mkdir(exist_ok=True)
    with os.fdopen(os.open(_FILE, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(known)


def _all() -> dict[str, str]:
    kept: dict[str, str] = json.loads(_FILE.read_text()) if _FILE.exists() else {}
    return kept
