"""htmx, from the locked npm package into web/static/vendor, with the system's npm or our own.

Standard library only: this runs before anything is installed.
"""

import json
import shutil
from pathlib import Path

from sandbox import node
from sandbox.toolchain import REPOSITORY, SetupError, run, say

VENDOR = REPOSITORY / "web" / "static" / "vendor"
_PACKAGE = "htmx.org"
_FILES = ("LICENSE", "dist/htmx.min.js", "dist/ext/hx-sse.min.js", "dist/ext/hx-ptag.min.js")
_CLEAN_INSTALL = ("ci", "--ignore-scripts", "--no-audit", "--no-fund")


def directory() -> Path:
    """Where the page finds htmx; named by its locked version, so it may be cached for ever."""
    lock = json.loads((REPOSITORY / "package-lock.json").read_text())
    return VENDOR / f"htmx-{lock['packages'][f'node_modules/{_PACKAGE}']['version']}"


def is_there() -> bool:
    """Whether every file is in place."""
    return all((directory() / Path(file).name).is_file() for file in _FILES)


def install() -> None:
    """Fetch what package-lock.json names, which npm checks against its SHA-512, and copy it."""
    _fetch()
    package = REPOSITORY / "node_modules" / _PACKAGE
    fresh = VENDOR / "fresh"
    shutil.rmtree(VENDOR, ignore_errors=True)
    fresh.mkdir(parents=True)
    for file in _FILES:
        if not (package / file).is_file():
            raise SetupError(f"The npm package {_PACKAGE} has no {file}.")
        shutil.copyfile(package / file, fresh / Path(file).name)
    fresh.rename(directory())


def _fetch() -> None:
    if npm := shutil.which("npm"):
        try:
            run("Installing htmx with npm", [npm, *_CLEAN_INSTALL])
        except SetupError as error:
            say(f"{error}\nTrying with another npm.")
        else:
            return
    run(
        "Installing htmx with the npm from PyPI",
        [*node.npm(), *_CLEAN_INSTALL],
        {"NODE_USE_SYSTEM_CA": "1"},  # besides its own: some networks have their own authority
    )
    node.remove()
