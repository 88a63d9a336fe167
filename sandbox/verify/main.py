"""The world in as many parts as there are processors, each with a database of its own."""

import argparse
import asyncio
import logging
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

from sandbox.lifeline import stop_with_make, stop_with_parent
from sandbox.services import Services, services
from sandbox.throwaway import databases, migrated
from sandbox.toolchain import say
from sandbox.verify.world import Outcome, live_and_verify

ORGANIZATIONS = 2_000


def main() -> None:
    """Exits 1 when any invoice differs."""
    stop_with_make()
    parser = argparse.ArgumentParser(prog="python -m sandbox.verify", description=__doc__)
    parser.add_argument("--organizations", type=int, default=ORGANIZATIONS, metavar="N")
    total = parser.parse_args().organizations
    with services(kept=False, database_url=None, redis_url=None) as found:
        outcomes = _in_parts(found, total)
    for outcome in outcomes:
        for difference in outcome.differing:
            say(difference)
    verified = sum(outcome.verified for outcome in outcomes)
    differing = sum(len(outcome.differing) for outcome in outcomes)
    say(f"{verified} invoices verified, {differing} differ")
    if differing or not verified:
        sys.exit(1)


def _in_parts(found: Services, total: int) -> list[Outcome]:
    parts = max(1, min(os.cpu_count() or 1, total))
    numbers = [range(total * i // parts, total * (i + 1) // parts) for i in range(parts)]
    given = asyncio.run(databases(found, [f"verify_{part}" for part in range(parts)]))
    with ProcessPoolExecutor(parts, get_context("spawn"), _prepare) as pool:
        return list(pool.map(_part, given, numbers, range(1, parts + 1)))


def _prepare() -> None:
    stop_with_parent()
    logging.disable(logging.WARNING)  # every hold is a warning, and there are hundreds


def _part(found: Services, numbers: range, part: int) -> Outcome:
    return live_and_verify(migrated(found), numbers, partial(_say, part))


def _say(part: int, line: str) -> None:
    say(f"  part {part}: {line}")
