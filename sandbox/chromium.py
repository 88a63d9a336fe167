"""A Chromium for the browser tests: the machine's, else Debian's package, else Playwright's.

Standard library only: this runs before anything is installed.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from sandbox import node
from sandbox.toolchain import STATE, VENV, SetupError, answers, run, say

VARIABLE = "CHROMIUM"
COMMANDS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--no-sandbox",  # in a container, and for root, Chromium starts only so
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
"""Arguments for a browser that shows our own pages and asks nothing of the rest of the world."""

_MAC = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")
_PLAYWRIGHT_CACHES = ("~/.cache/ms-playwright", "~/Library/Caches/ms-playwright")
_PLAYWRIGHT_PROGRAMS = (
    "chromium-*/chrome-*/chrome",
    "chromium-*/chrome-*/*.app/Contents/MacOS/*",
    "chromium_headless_shell-*/*/*headless*shell",
)
_RECORD = STATE / "chromium"
_NONE_FOUND = (
    "No Chromium for the browser tests. Install one, or name it: CHROMIUM=/path/to/chromium."
)


def find() -> str | None:
    """The path of a Chromium that starts; remembered, so that it is started to see only once.

    Raises `SetupError` when the one named by the environment does not start.
    """
    if named := os.environ.get(VARIABLE):  # noqa: TID251 - where the machine's browser is
        if path := shutil.which(named):
            return path
        raise SetupError(f"{VARIABLE} is {named}, and there is no such program.")
    with suppress(FileNotFoundError):
        remembered = _RECORD.read_text()
        if Path(remembered).exists():
            return remembered
    for path in _candidates():
        if answers([path, "--version"]):
            STATE.mkdir(exist_ok=True)
            _RECORD.write_text(path)
            return path
    return None


def require() -> str:
    """The path of a Chromium. Raises `SetupError` when there is none."""
    if path := find():
        return path
    raise SetupError(_NONE_FOUND)


def driver_settings() -> dict[str, str]:
    """Environment variables for Playwright: the Node.js to run on, where its own does not start.

    A bare Debian, for one, lacks a library that Playwright's needs.
    """
    return {"PLAYWRIGHT_NODEJS_PATH": str(node.program())} if node.is_installed() else {}


def prepare() -> None:
    """Have a Chromium and a way to drive it. Raises `SetupError` where that cannot be."""
    drivers = (VENV / "lib").glob("python3.*/site-packages/playwright/driver/node")
    if not node.is_installed() and not any(answers([str(path), "--version"]) for path in drivers):
        node.program()
    if not find():
        _install()


def _install() -> None:
    for way in (_install_debian_package, _install_with_playwright):
        try:
            way()
        except SetupError as error:
            say(str(error))
        if find():
            return
    raise SetupError(_NONE_FOUND)


def _candidates() -> Iterator[str]:
    for command in COMMANDS:
        if path := shutil.which(command):
            yield path
    if _MAC.exists():
        yield str(_MAC)
    own = os.environ.get("PLAYWRIGHT_BROWSERS_PATH")  # noqa: TID251 - Playwright's own variable
    for cache in (own, *_PLAYWRIGHT_CACHES) if own else _PLAYWRIGHT_CACHES:
        for pattern in _PLAYWRIGHT_PROGRAMS:
            yield from sorted(map(str, Path(cache).expanduser().glob(pattern)), reverse=True)


def _install_debian_package() -> None:
    """Where we may, and not on Ubuntu, whose package only sends one on to the snap store."""
    as_root = _as_root()
    if as_root is None or not _is_debian():
        return
    apt = [*as_root, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "--quiet", "--yes"]
    run("Updating the list of Debian packages", [*apt, "update"])
    run(
        "Installing Debian's chromium",
        [*apt, "install", "--no-install-recommends", "chromium"],
    )


def _install_with_playwright() -> None:
    playwright = [str(VENV / "bin" / "python"), "-m", "playwright", "install"]
    if _as_root() == [] and shutil.which("apt-get"):
        playwright.append("--with-deps")
    run("Installing Playwright's Chromium", [*playwright, "chromium"], driver_settings())


def _as_root() -> list[str] | None:
    """What to put before a command so that root runs it; None when we may not."""
    if os.geteuid() == 0:
        return []
    return ["sudo", "-n"] if answers(["sudo", "-n", "true"]) else None


def _is_debian() -> bool:
    if not shutil.which("apt-get"):
        return False
    with suppress(FileNotFoundError):
        release = Path("/etc/os-release").read_text()
        return "debian" in release and "ubuntu" not in release
    return False
