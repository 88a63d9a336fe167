"""`make`'s first step: whatever the target needs and this checkout has not got yet.

    python3 -m sandbox.setup [--browser]

Needs Python 3.11 and its pip, and the first time a network. Standard library only.
"""

import argparse
import fcntl
import hashlib
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sandbox import chromium, htmx
from sandbox.toolchain import REPOSITORY, STATE, UV_VERSION, VENV, SetupError, say, sync

_STAMPS = STATE / "setup.json"
_COMPILED = "billing/usage/scanning"


def main() -> None:
    """Set up what is asked for; a second time this takes no time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--browser", action="store_true", help="a Chromium too")
    asked = parser.parse_args()
    try:
        with _alone():
            _ensure("python", _python_key(), (VENV / "bin" / "python").exists(), sync)
            _ensure("htmx", _digest("package-lock.json"), htmx.is_there(), htmx.install)
            if asked.browser:
                chromium.prepare()
    except SetupError as error:
        sys.exit(f"Set-up stopped. {error}")


def _ensure(name: str, key: str, is_there: bool, make: Callable[[], None]) -> None:
    """Make `name`, unless it is there and made from the same `key`."""
    stamps = json.loads(_STAMPS.read_text()) if _STAMPS.exists() else {}
    if is_there and stamps.get(name) == key:
        return
    make()
    _STAMPS.write_text(json.dumps(stamps | {name: key}, indent=2))


def _python_key() -> str:
    """All that makes an environment stale, the checkout's own place among it."""
    compiled = sorted(str(one) for one in (REPOSITORY / _COMPILED).glob("*.p[yx][xi]"))
    digest = _digest("uv.lock", "pyproject.toml", "hatch_build.py", *compiled)
    return f"{digest} {UV_VERSION} {sys.version} {REPOSITORY}"


def _digest(*files: str) -> str:
    return hashlib.sha256(b"".join((REPOSITORY / file).read_bytes() for file in files)).hexdigest()


@contextmanager
def _alone() -> Iterator[None]:
    """Hold this checkout's set-up, waiting for another one to finish."""
    try:
        STATE.mkdir(exist_ok=True)
        lock = (STATE / "setup.lock").open("w")
    except PermissionError:
        raise SetupError(f"{STATE} belongs to another user. Remove it and try again.") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Waiting for another set-up of this checkout …")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    main()
