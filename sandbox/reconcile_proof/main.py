"""The proof at full size: the real command line against a fake Stripe in a process of its own."""

import argparse
import asyncio
import json
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

from sqlalchemy.ext.asyncio import async_sessionmaker

from billing.clock import wall_time
from billing.database import open_engine
from billing.rules.drift import DriftKind
from billing.settings import Settings
from sandbox.lifeline import stop_with_make, stop_with_parent
from sandbox.reconcile_proof.ours import write_ours
from sandbox.reconcile_proof.plan import Planned, Stripe, hold, plan
from sandbox.services import services
from sandbox.stripe.app import FakeStripe
from sandbox.stripe.ids import Ids
from sandbox.stripe.server import serving
from sandbox.stripe.world import World
from sandbox.throwaway import databases, migrated
from sandbox.toolchain import REPOSITORY, environment, say

INVOICES, DIFFERENCES = 50_000, 40
_START_SECONDS_MAX = 300


def main() -> None:
    """Exits 1 unless exactly what was planted is found, at one call for each hundred invoices."""
    stop_with_make()
    parser = argparse.ArgumentParser(prog="python -m sandbox.reconcile_proof", description=__doc__)
    parser.add_argument("--invoices", type=int, default=INVOICES, metavar="N")
    parser.add_argument("--differences", type=int, default=DIFFERENCES, metavar="N")
    parser.add_argument("--seed", type=int, default=1, metavar="N")
    given = parser.parse_args()
    now = wall_time().astimezone(UTC).replace(microsecond=0)
    planned = plan(given.invoices, given.differences, now, given.seed)
    with services(kept=False, database_url=None, redis_url=None) as found:
        (own,) = asyncio.run(databases(found, ["reconcile_proof"]))
        settings = migrated(own)
        stripe = hold(World(ids=Ids(seed=given.seed)), planned)
        asyncio.run(_write(settings, planned, stripe))
        say(
            f"{len(stripe.world.invoices)} Stripe invoices, {given.invoices} of ours,"
            f" seed {given.seed}"
        )
        environ = {
            "ENVIRONMENT": "test",
            "DATABASE_URL": own.database_url,
            "REDIS_URL": own.redis_url,
            "STRIPE_API_KEY": "sk_test_of_nobody",
            "SECRET_KEY": settings.secret_key,
            # The limits of a live account: what is measured is our own work.
            "STRIPE_GLOBAL_PER_SECOND": "10000",
            "STRIPE_ENDPOINT_PER_SECOND": "10000",
        }
        with _fake(given.invoices, given.differences, now, given.seed) as url:
            is_right = _compare(stripe, environ | {"STRIPE_API_BASE": url})
    if not is_right:
        sys.exit(1)


async def _write(settings: Settings, planned: list[Planned], stripe: Stripe) -> None:
    engine = open_engine(settings)
    await write_ours(async_sessionmaker(engine, expire_on_commit=False), planned, stripe.ids)
    await engine.dispose()


def _compare(stripe: Stripe, environ: dict[str, str]) -> bool:
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    command = [sys.executable, "-c", "import cli; cli.main()", "reconcile", "--dry-run", "--json"]
    result = subprocess.run(
        command,
        cwd=REPOSITORY,
        env=environment(environ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    after, seconds = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic() - began
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    if result.returncode not in {0, 1} or not result.stdout:
        say(f"stripe-sync reconcile failed with {result.returncode}")
        return False
    return verdict(stripe.expected, json.loads(result.stdout), cpu, seconds)


def verdict(
    expected: set[tuple[str, str]], told: dict[str, Any], cpu: float, seconds: float
) -> bool:
    """Say what was planted and found, and whether that is the same."""
    found = Counter(found_in(told))
    missed, invented = expected - set(found), set(found) - expected
    twice = [one for one, times in found.items() if times > 1]
    for kind in DriftKind:
        planted = sum(1 for one, _ in expected if one == kind)
        say(f"  {kind:<14} planted {planted}, found {told['counts'].get(kind, 0)}")
    for title, ones in (("missed", missed), ("invented", invented), ("twice", twice)):
        for name, about in ones:
            say(f"  {title}: {name} {about}")
    calls, read = told["list_calls"], told["invoices_read"]
    say(
        f"{len(expected)} planted, {found.total()} found; {read} invoices read in {calls} calls;"
        f" {cpu:.1f} CPU s, {seconds:.1f} s"
    )
    return not (missed or invented or twice) and calls <= -(-read // 100)


def found_in(told: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Each difference by its kind, and by our number; a duplicate or a stranger by Stripe's id."""
    by_stripe = {DriftKind.DUPLICATE, DriftKind.ORPHAN, DriftKind.FOREIGN}
    for one in told["differences"]:
        name = "stripe_invoice_id" if one["kind"] in by_stripe else "number"
        yield one["kind"], one[name]


@contextmanager
def _fake(count: int, differences: int, now: datetime, seed: int) -> Iterator[str]:
    """The same plan held by a fake in another process, so that its work is not counted as ours."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    child = context.Process(target=_serve, args=(theirs, count, differences, now, seed))
    child.start()
    try:
        if not ours.poll(_START_SECONDS_MAX):
            raise TimeoutError("The fake Stripe did not start.")
        yield ours.recv()
    finally:
        ours.send(None)
        child.join()


def _serve(pipe: Connection, count: int, differences: int, now: datetime, seed: int) -> None:
    stop_with_parent()
    stripe = hold(World(ids=Ids(seed=seed)), plan(count, differences, now, seed))

    async def serve() -> None:
        async with serving(FakeStripe(stripe.world)) as url:
            pipe.send(url)
            await asyncio.to_thread(pipe.recv)

    asyncio.run(serve())
