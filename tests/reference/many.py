"""Many random worlds, each billed by the product and by the reference.

As many at once as there are processors; each that disagrees is printed with its seed.
"""

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from datetime import UTC, datetime
from multiprocessing import get_context
from multiprocessing.queues import Queue

import uvloop

from billing.settings import Settings
from sandbox.lifeline import stop_with_make, stop_with_parent
from sandbox.services import Services, services
from sandbox.throwaway import HandClock, databases, migrated, opened
from sandbox.toolchain import say
from tests.reference.adapter import compared

SEEDS_AT_ONCE = 10
CHUNKS_TOLD = 5
_LONG_AGO = datetime(2023, 1, 1, tzinfo=UTC)
_taken: list[Settings] = []
"""The database of this process."""


def main() -> None:
    """Exits 1 when any world disagrees."""
    stop_with_make()
    parser = argparse.ArgumentParser(prog="python -m tests.reference", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, metavar="N")
    parser.add_argument("--first", type=int, default=0, metavar="SEED")
    asked = parser.parse_args()
    seeds = range(asked.first, asked.first + asked.seeds)
    with services(kept=False, database_url=None, redis_url=None) as found:
        disagreeing = _in_parallel(found, seeds)
    if disagreeing:
        sys.exit(f"{disagreeing} of {len(seeds)} worlds disagree")
    say(f"{len(seeds)} worlds agree")


def _in_parallel(found: Services, seeds: Sequence[int]) -> int:
    """How many disagree."""
    workers = min(os.cpu_count() or 1, len(seeds))
    context = get_context("spawn")
    offered: Queue[Services] = context.Queue()
    for one in asyncio.run(databases(found, [f"worlds_{n}" for n in range(workers)])):
        offered.put(one)
    chunks = [seeds[i : i + SEEDS_AT_ONCE] for i in range(0, len(seeds), SEEDS_AT_ONCE)]
    with ProcessPoolExecutor(workers, context, _take, (offered,)) as pool:
        return _told([pool.submit(_play, list(chunk)) for chunk in chunks])


def _told(playing: Sequence[Future[list[str]]]) -> int:
    disagreeing = 0
    for done, one in enumerate(as_completed(playing), start=1):
        disagreements = one.result()
        disagreeing += len(disagreements)
        for text in disagreements:
            say(text)
        if done % CHUNKS_TOLD == 0:
            say(f"  {done * SEEDS_AT_ONCE} worlds, {disagreeing} disagree")
    return disagreeing


def _take(offered: "Queue[Services]") -> None:
    stop_with_parent()
    logging.disable(logging.WARNING)  # every hold is a warning, and there are hundreds
    _taken.append(migrated(offered.get()))


def _play(seeds: list[int]) -> list[str]:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_played(_taken[0], seeds))


async def _played(settings: Settings, seeds: list[int]) -> list[str]:
    """What disagrees, one text for each world."""
    async with opened(settings, HandClock(_LONG_AGO)) as runtime:
        played = [await compared(runtime, seed) for seed in seeds]
    return ["\n".join(found) for found in played if found]
