"""The Python environment: uv from PyPI, then everything uv.lock names, into .venv.

Standard library only: this runs before anything is installed.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
STATE = REPOSITORY / ".sandbox"
VENV = REPOSITORY / ".venv"
UV_VERSION = "0.13.9"
_UV = STATE / "uv"
COMPILED = "billing/usage/scanning/compiled.*.so"
_LAST_LINES = 15
_ADVICE = "A first set-up needs a network that has PyPI and npm. In full: .sandbox/setup.log"


class SetupError(Exception):
    """Set-up cannot go on; the message says what is missing and what to do about it."""


def say(line: str) -> None:
    """Tell whoever waits what is going on."""
    print(line, flush=True)  # noqa: T201


def run(doing: str, command: Sequence[str], env: Mapping[str, str] | None = None) -> None:
    """Run a command that takes a while. Raises `SetupError` with its last words if it fails."""
    say(f"{doing} …")
    started = time.monotonic()
    with (STATE / "setup.log").open("a") as log:
        log.write(f"\n$ {' '.join(command)}\n")
        log.flush()
        position = log.tell()
        result = subprocess.run(
            command,
            cwd=REPOSITORY,
            env=environment(env or {}),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            check=False,
        )
    if result.returncode:
        raise SetupError(f"{doing} failed:\n\n{_last_words(position)}\n\n{_ADVICE}")
    say(f"  done in {time.monotonic() - started:.1f} s")


def answers(command: Sequence[str]) -> bool:
    """Whether a command exists and succeeds."""
    try:
        result = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return result.returncode == 0


def environment(extra: Mapping[str, str]) -> dict[str, str]:
    """Our environment variables and some more."""
    return {**os.environ, **extra}  # noqa: TID251 - passed on, not read


@cache
def uv() -> str:
    """The path of uv, brought from PyPI if this checkout has not got it yet."""
    program = _UV / UV_VERSION / "bin" / "uv"
    if not program.exists():
        install_with_pip(f"uv=={UV_VERSION}", program.parent.parent)
    return str(program)


def install_with_pip(requirement: str, target: Path) -> None:
    """Install one package, without what it depends on, into a directory of its own."""
    shutil.rmtree(target.parent, ignore_errors=True)
    fresh = target.with_name("fresh")
    options = ["--no-deps", "--no-input", "--disable-pip-version-check", "--no-user"]
    run(
        f"Installing {requirement} from PyPI",
        [*_pip(), "install", *options, "--target", str(fresh), requirement],
        # `--target` is an environment of its own, which this demand does not see.
        {"PIP_REQUIRE_VIRTUALENV": "0"},
    )
    fresh.rename(target)


def sync() -> None:
    """Bring .venv to exactly what uv.lock says."""
    # What is compiled lies in the checkout, where uv does not look whether it still is.
    anew = ["--reinstall-package", "stripe-sync"]
    command = [uv(), "sync", "--frozen", "--python", sys.executable, *anew]
    env = {"UV_PROJECT_ENVIRONMENT": str(VENV), "UV_PYTHON_DOWNLOADS": "never"}
    doing = "Installing the locked Python packages"
    try:
        run(doing, command, env)
    except SetupError as error:
        if "certificate" not in str(error):
            raise
        # The network has an authority of its own, which this machine knows and uv does not.
        run(f"{doing}, trusting whom this machine trusts", [*command, "--system-certs"], env)
    if not any(REPOSITORY.glob(COMPILED)):
        say("  There is no C compiler, or no Python.h: usage will be taken in more slowly.")


def _pip() -> list[str]:
    """The pip of this Python, else the one that venv brings."""
    pip = [sys.executable, "-m", "pip"]
    if answers([*pip, "--version"]):
        return pip
    private = STATE / "pip"
    if answers([sys.executable, "-m", "venv", str(private)]):
        return [str(private / "bin" / "python"), "-m", "pip"]
    raise SetupError(
        f"{sys.executable} has no pip, and no venv that would bring it. Install one of them:"
        " on Debian and Ubuntu, `apt-get install python3-pip`."
    )


def _last_words(position: int) -> str:
    with (STATE / "setup.log").open(errors="replace") as log:
        log.seek(position)
        return "\n".join(f"    {line.rstrip()}" for line in log.readlines()[-_LAST_LINES:])
