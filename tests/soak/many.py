"""Many random schedules, as many at once as there are processors, each process on its database.

What is violated is told with its seed, once shortened; `--seed S --schedules 1` plays it again.
"""

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from multiprocessing.queues import Queue

import uvloop

from billing.settings import Settings
from sandbox.lifeline import stop_with_make, stop_with_parent
from sandbox.services import Services, services
from sandbox.stripe.app import FakeStripe
from sandbox.stripe.ids import Ids
from sandbox.stripe.world import World
from sandbox.throwaway import HandClock, databases, migrated, opened
from sandbox.toolchain import say
from tests.billing.throughput import measured
from tests.soak.player import shortest, violation_of
from tests.soak.schedules import schedule_of
from tests.soak.stage import AFTER_GRACE
from tests.world import Clock

SEEDS_AT_ONCE = 10
CHUNKS_TOLD = 5
_taken: list[Settings] = []
"""The database of this process."""


def main() -> None:
    """Exits 1 when anything was violated."""
    stop_with_make()
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--schedules", type=int, default=1000, metavar="N")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="the first; others follow")
    parser.add_argument(
        "--throughput", type=int, metavar="N", help="instead, push N invoices by two workers"
    )
    asked = parser.parse_args()
    with services(kept=False, database_url=None, redis_url=None) as found:
        if asked.throughput:
            _tell_throughput(found, asked.throughput)
            return
        violations = _in_parallel(found, range(asked.seed, asked.seed + asked.schedules))
    say(f"{asked.schedules} schedules, {violations} violations")
    if violations:
        sys.exit(1)


def _tell_throughput(found: Services, invoices: int) -> None:
    (place,) = asyncio.run(databases(found, ["throughput"]))
    settings = migrated(place)
    with asyncio.Runner() as runner:
        say(runner.run(_throughput(settings, invoices)))


async def _throughput(settings: Settings, invoices: int) -> str:
    clock = Clock(AFTER_GRACE)
    fake = FakeStripe(World(ids=Ids(seed=1)), clock)
    async with opened(settings, HandClock(clock.at)) as runtime:
        return str(await measured(runtime, fake, clock, invoices))


def _in_parallel(found: Services, seeds: Sequence[int]) -> int:
    """How many schedules were violated."""
    processes = min(os.cpu_count() or 1, len(seeds))
    context = get_context("spawn")
    offered: Queue[Services] = context.Queue()
    for one in asyncio.run(databases(found, [f"soak_{n}" for n in range(processes)])):
        offered.put(one)
    chunks = [seeds[i : i + SEEDS_AT_ONCE] for i in range(0, len(seeds), SEEDS_AT_ONCE)]
    with ProcessPoolExecutor(processes, context, _take, (offered,)) as pool:
        return _told([pool.submit(_play, list(chunk)) for chunk in chunks], len(seeds))


def _told(playing: Sequence[Future[list[str]]], schedules: int) -> int:
    violations = 0
    for done, one in enumerate(as_completed(playing), start=1):
        found = one.result()
        violations += len(found)
        for text in found:
            say(f"VIOLATED: {text}")
        if done % CHUNKS_TOLD == 0:
            played = min(done * SEEDS_AT_ONCE, schedules)
            say(f"  {played} of {schedules} schedules, {violations} violations")
    return violations


def _take(offered: "Queue[Services]") -> None:
    stop_with_parent()
    logging.disable(logging.CRITICAL)  # every fault is logged, and there are thousands
    _taken.append(migrated(offered.get()))


def _play(seeds: list[int]) -> list[str]:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_played(_taken[0], seeds))


async def _played(settings: Settings, seeds: list[int]) -> list[str]:
    """What was violated, one text for each schedule."""
    violations = []
    async with opened(settings, HandClock(AFTER_GRACE)) as base:
        for seed in seeds:
            found = await violation_of(base, schedule_of(seed))
            if found is not None:
                violations.append(str(await shortest(base, found)))
    return violations
