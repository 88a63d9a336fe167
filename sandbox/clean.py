"""`make clean`: remove all that set-up, demos and tests leave in a checkout.

Standard library only: it runs where nothing is installed any more.
"""

import shutil
import sys

from sandbox.embedded import SandboxError, kept_root, locked
from sandbox.htmx import VENDOR
from sandbox.toolchain import COMPILED, REPOSITORY, STATE, VENV

_CACHES = (".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis", ".import_linter_cache")


def main() -> None:
    """Remove it, unless a demo is using it."""
    root = kept_root()
    try:
        if root.exists():
            with locked(root / "lock", seconds=0):
                shutil.rmtree(root)
    except SandboxError:
        sys.exit("The demo is running. End it first.")
    made = [VENV, STATE, VENDOR, REPOSITORY / "node_modules", *(REPOSITORY / c for c in _CACHES)]
    for directory in made:
        shutil.rmtree(directory, ignore_errors=True)
    for library in REPOSITORY.glob(COMPILED):
        library.unlink()


if __name__ == "__main__":
    main()
