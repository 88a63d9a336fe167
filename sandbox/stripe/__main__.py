"""`python -m sandbox.stripe --port N`: the fake Stripe as a server of its own."""

import argparse
import asyncio
import sys
from datetime import datetime
from pathlib import Path

import uvicorn

from billing.clock import Now, wall_clock
from sandbox.stripe.app import FakeStripe
from sandbox.stripe.bulk import fill
from sandbox.stripe.ids import Ids
from sandbox.stripe.limits import PUBLISHED, UNLIMITED
from sandbox.stripe.records import Card
from sandbox.stripe.server import HOST, listening
from sandbox.stripe.snapshot_file import SnapshotFile
from sandbox.stripe.webhooks import Endpoint
from sandbox.stripe.world import Knobs, World, unix

PORT = 12111
TICK_S = 0.2


def main(arguments: list[str] | None = None, now: Now = wall_clock) -> None:
    """Serve until interrupted. `now` is the clock: the demo passes the one it shares."""
    options = _options(arguments)
    listener = listening(options.port)
    address = f"http://{HOST}:{listener.getsockname()[1]}"
    memory = SnapshotFile(options.snapshot) if options.snapshot is not None else None
    try:
        recalled = memory.recall() if memory is not None else None
    except (PermissionError, ValueError) as error:
        sys.exit(str(error))
    world = recalled or _fresh(options, asyncio.run(_read(now)))
    world.base_url = options.base_url or address
    sys.stdout.write(f"Fake Stripe, NOT REAL, on {address}\n")
    sys.stdout.flush()
    fake = FakeStripe(world, now, TICK_S, memory)
    config = uvicorn.Config(fake, log_level="warning", ws="none")
    uvicorn.Server(config).run(sockets=[listener])


def _fresh(options: argparse.Namespace, now: datetime) -> World:
    world = World(ids=Ids(options.seed), limits=PUBLISHED.get(options.limits, UNLIMITED))
    world.knobs = Knobs(default_card=options.default_card)
    world.postbox.endpoints = _endpoints(options)
    fill(world, options.invoices, unix(now))
    return world


async def _read(now: Now) -> datetime:
    return await now()


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m sandbox.stripe",
        description="A fake Stripe, in memory, on the loopback. Any sk_test_ or rk_test_ key works."
        " GET / shows what it holds; GET and POST /_control show and set its faults.",
    )
    parser.add_argument("--port", type=int, default=PORT, help="0 takes a free one")
    parser.add_argument("--seed", type=int, help="the same seed gives the same ids")
    parser.add_argument("--base-url", help="where browsers reach it; default: its own address")
    parser.add_argument("--default-card", type=Card, choices=list(Card), default=Card.PAY)
    parser.add_argument(
        "--limits", choices=list(PUBLISHED), help="refuse calls as Stripe does there; default: none"
    )
    parser.add_argument(
        "--snapshot",
        type=Path,
        help="put the account into this file at the end; if it is there, start from it, and not"
        " from what else is said here of what to hold",
    )
    parser.add_argument("--invoices", type=int, default=0, help="hold so many from the start")
    parser.add_argument(
        "--webhook-url", action="append", default=[], help="deliver all events here; repeatable"
    )
    parser.add_argument(
        "--webhook-secret", action="append", default=[], help="signs for the URL of equal position"
    )
    options = parser.parse_args(arguments)
    if len(options.webhook_url) != len(options.webhook_secret):
        parser.error("each --webhook-url needs its --webhook-secret")
    return options


def _endpoints(options: argparse.Namespace) -> tuple[Endpoint, ...]:
    pairs = zip(options.webhook_url, options.webhook_secret, strict=True)
    return tuple(Endpoint(url, (secret,)) for url, secret in pairs)


if __name__ == "__main__":
    main()
