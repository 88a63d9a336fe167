"""`make check`: every check by name, all of them even when one fails, and one closing line."""

import subprocess
import sys
import time
from pathlib import Path

from sandbox.lifeline import stop_with_make
from sandbox.toolchain import REPOSITORY, say

_BIN = Path(sys.executable).parent
_PYTHON = sys.executable
CHECKS = (
    ("format", (_BIN / "ruff", "format", "--check", "--quiet")),
    ("lint", (_BIN / "ruff", "check", "--no-cache", "--quiet")),
    ("types", (_BIN / "mypy", "--no-error-summary")),
    ("import floors", (_BIN / "lint-imports",)),
    ("migrations", (_PYTHON, "-m", "sandbox.migrations_check")),
    ("schema", (_PYTHON, "-m", "api.export_schema", "--check")),
)


def main() -> None:
    """Run all checks; exits 1 if any fails."""
    stop_with_make()
    failed = [name for name, command in CHECKS if not _passes(name, command)]
    if failed:
        sys.exit(f"check: {', '.join(failed)} failed")
    say(f"check: all {len(CHECKS)} fine")


def _passes(name: str, command: tuple[Path | str, ...]) -> bool:
    started = time.monotonic()
    result = subprocess.run(
        command,
        cwd=REPOSITORY,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    verdict = "failed" if result.returncode else "ok"
    say(f"{name:<14} {verdict:<6} {time.monotonic() - started:5.1f} s")
    if result.returncode:
        say(result.stdout)
    return result.returncode == 0


if __name__ == "__main__":
    main()
