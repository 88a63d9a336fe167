"""`python -m bench`: every figure beside its limit. Ratios never decide how it ends."""

import argparse
import asyncio
import gc
import signal
import sys
from collections.abc import Set
from contextlib import AsyncExitStack
from time import monotonic

import uvloop
from alembic import command

from bench.archiving import measure_archiving
from bench.figures import Figure, progress, table
from bench.flood import measure_flood
from bench.growth import measure_growth
from bench.ingest import (
    Ingest,
    ingesting,
    measure_cold,
    measure_grown_ingest,
    measure_ingest,
    measure_one_organization,
)
from bench.load import Loader
from bench.reaggregation import measure_reaggregation
from bench.server import servers
from bench.single import measure_single
from bench.stage import QUICK, Lengths, staged
from migrations import config_for
from sandbox.embedded import SandboxError
from sandbox.lifeline import stop_with_make
from sandbox.services import Services

EMPTY = frozenset({"ingest_batch", "ingest_folded"})
GROWN = frozenset({"ingest_batch_steady", "ingest_batch_checkpointed", "growth_ingest"})
LOADED = frozenset({"growth", "growth_estimate", "growth_estimate_largest", "growth_bytes"})
RELOADED = frozenset({"reaggregate", "growth_month"})
SENT = EMPTY | GROWN | {"ingest_batch_one_org", "ingest_single", "flood_memory"}
UNASKED = SENT - {"ingest_batch_one_org"} | LOADED | RELOADED
"""What is measured when nothing is named."""
NAMES = SENT | UNASKED | {"ingest_batch_cold"}


def main() -> None:
    """Measure, and print a table or, with --json, a line of JSON for each figure."""
    stop_with_make()
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit("Told to stop."))
    asked = _arguments()
    started = monotonic()
    gc.disable()  # the sender's own collector would stop it in the middle of a window
    lengths = QUICK if asked.quick else Lengths()
    names = frozenset(asked.only or UNASKED)
    try:
        with servers() as services, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            command.upgrade(config_for(services.database_url), "head")
            figures = runner.run(_measure(services, lengths, names))
    except SandboxError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("Interrupted.")
    shown = [figure for figure in figures if figure.name in names]
    lines = [one.as_json() for one in shown] if asked.json else [table(shown)]
    sys.stdout.write("\n".join(lines) + "\n")
    progress(f"{monotonic() - started:.0f} s in all")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one object a line")
    parser.add_argument("--only", metavar="NAME", action="append", choices=sorted(NAMES))
    parser.add_argument("--quick", action="store_true", help="to try it: figures mean little")
    return parser.parse_args()


async def _measure(services: Services, lengths: Lengths, asked: Set[str]) -> list[Figure]:
    """In an order in which each finds what it stands on; what nobody asked for is left out."""
    figures: list[Figure] = []
    loader: Loader | None = None
    async with staged(services, lengths) as stage, AsyncExitStack() as stack:
        if "ingest_batch_cold" in asked:
            figures += await measure_cold(stage)
        if asked & SENT:
            ingest = await stack.enter_async_context(ingesting(stage))
            figures += await _on_empty_tables(ingest, asked)
        if asked & (LOADED | GROWN | RELOADED):
            loader = Loader(stage)
            figures += await measure_growth(stage, loader)
        if loader and asked & GROWN:
            figures += await measure_grown_ingest(ingest, loader)
        elif asked & EMPTY:
            figures += await measure_ingest(ingest)
        await stack.aclose()
        if loader and "reaggregate" in asked:
            figures += await measure_reaggregation(stage, loader)
        if loader and "growth_month" in asked:
            figures += await measure_archiving(stage, loader)
    return figures


async def _on_empty_tables(ingest: Ingest, asked: Set[str]) -> list[Figure]:
    """A flood needs a fresh process; all else one that has met every series."""
    figures: list[Figure] = []
    if "flood_memory" in asked:
        figures += await measure_flood(ingest)
    if asked & (SENT - {"flood_memory"}):
        await ingest.prime()
    if "ingest_single" in asked:
        figures += await measure_single(ingest)
    if "ingest_batch_one_org" in asked:
        figures += await measure_one_organization(ingest)
    return figures


if __name__ == "__main__":
    main()
