"""Planting: a copy of the tree for each processor, one fault at a time, and the tests that know.

Nothing is ever planted in the working tree. The tests must pass in the copy before anything is:
else a failure would prove nothing.
"""

import argparse
import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from queue import SimpleQueue

from sandbox.lifeline import stop_with_make
from sandbox.services import Services, services
from sandbox.throwaway import databases
from sandbox.toolchain import REPOSITORY, environment, say
from tests.billing.usage import test_planted_faults
from tests.mutants.fault import Fault
from tests.mutants.pure_faults import PURE_FAULTS
from tests.mutants.push_faults import PUSH_FAULTS
from tests.mutants.stored_faults import STORED_FAULTS

FAULTS = (*PURE_FAULTS, *PUSH_FAULTS, *STORED_FAULTS)
IN_THE_SUITE = "tests/billing/usage/test_planted_faults.py"
"""Faults of the usage store are planted in memory, by a test of their own in every run of them."""

SECONDS_MAX = 600
_FAILED = 1
"""What pytest exits with when tests ran, and some failed."""


@dataclass(frozen=True)
class Plot:
    """A copy of the tree, and what tests in it are told."""

    root: Path
    environ: dict[str, str] = field(repr=False)

    def pytest(self, *tests: str) -> subprocess.CompletedProcess[str]:
        """Run tests on the copy."""
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
        return subprocess.run(
            command,
            cwd=self.root,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS_MAX,
            check=False,
        )


Plots = SimpleQueue[Plot]
"""Those that nobody works on just now."""


def main() -> None:
    """Exits 1 when a fault survives, or when a test fails without any."""
    stop_with_make()
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--only", default="", metavar="TEXT", help="faults whose name has it")
    wanted = parser.parse_args().only
    faults = [fault for fault in FAULTS if wanted in fault.name]
    stored = [name for name in test_planted_faults.FAULTS if wanted in name]
    with ExitStack() as stack:
        found = stack.enter_context(services(kept=False, database_url=None, redis_url=None))
        plots: Plots = SimpleQueue()
        each = asyncio.run(databases(found, [f"plot_{n}" for n in range(os.cpu_count() or 1)]))
        for one in each:
            plots.put(stack.enter_context(_plot(one)))
        _require_green(plots, faults, stored)
        with ThreadPoolExecutor(len(each)) as pool:
            outcomes = list(pool.map(partial(_is_caught, plots), faults))
    planted, caught = len(faults) + len(stored), outcomes.count(True) + len(stored)
    say(f"{planted} planted, {caught} caught")
    if caught < planted:
        sys.exit(1)


def _require_green(plots: Plots, faults: Sequence[Fault], stored: Sequence[str]) -> None:
    tests = {test for fault in faults for test in fault.tests}
    plot = plots.get()
    result = plot.pytest(*sorted(tests), *([IN_THE_SUITE] if stored else []))
    plots.put(plot)
    if result.returncode:
        say(result.stdout)
        sys.exit("Tests fail without any fault: mend them first.")
    for name in stored:
        say(f"  caught    {name}")


def _is_caught(plots: Plots, fault: Fault) -> bool:
    plot = plots.get()
    try:
        with _planted(fault, plot.root):
            result = plot.pytest(*fault.tests)
    finally:
        plots.put(plot)
    is_caught = result.returncode == _FAILED
    say(f"  {'caught  ' if is_caught else 'SURVIVED'}  {fault.name}")
    if not is_caught and result.returncode:
        say(result.stdout)
    return is_caught


@contextmanager
def _planted(fault: Fault, root: Path) -> Iterator[None]:
    file = root / fault.file
    before = file.read_text()
    text = before
    for stands, planted in fault.changes:
        if text.count(stands) != 1:
            sys.exit(f"{fault.name}: {fault.file} has not once\n{stands}")
        text = text.replace(stands, planted)
    file.write_text(text)
    try:
        yield
    finally:
        file.write_text(before)


@contextmanager
def _plot(found: Services) -> Iterator[Plot]:
    root = Path(tempfile.mkdtemp(prefix="stripe-sync-mutants-"))
    try:
        for name in _tracked():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPOSITORY / name, root / name)
        given = {"DATABASE_URL": found.database_url, "REDIS_URL": found.redis_url}
        yield Plot(root, environment(given | {"PYTHONDONTWRITEBYTECODE": "1"}))
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _tracked() -> Sequence[str]:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, check=True)
    return [name for name in listed.stdout.splitlines() if (REPOSITORY / name).is_file()]
