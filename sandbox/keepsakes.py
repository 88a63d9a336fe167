"""The demo's own secrets, kept from one run to the next in a file that only its user can read."""

import json
import os
import secrets
import shlex
from collections.abc import Mapping
from pathlib import Path

from sandbox.toolchain import STATE

_FILE = STATE / "demo.json"
_ENVIRONMENT = STATE / "demo.env"


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


def keep_environment(environ: Mapping[str, str]) -> Path:
    """Write what the demo's processes are told, for a shell to read; answers where."""
    lines = [f"export {name}={shlex.quote(value)}" for name, value in sorted(environ.items())]
    _write(_ENVIRONMENT, "\n".join(lines) + "\n")
    return _ENVIRONMENT


def keep(name: str, value: str) -> None:
    """Keep `value` under this name from now on."""
    _write(_FILE, json.dumps(_all() | {name: value}, indent=2))


def _write(path: Path, text: str) -> None:
    STATE.mkdir(exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)


def _all() -> dict[str, str]:
    kept: dict[str, str] = json.loads(_FILE.read_text()) if _FILE.exists() else {}
    return kept
