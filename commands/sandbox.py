"""`stripe-sync demo`, `story` and `seed`: the sandbox, imported by these alone when they run."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from commands.console import Refusal


@contextmanager
def _told() -> Iterator[None]:
    """What the sandbox cannot do, as a sentence."""
    from sandbox.embedded import SandboxError  # noqa: PLC0415 - production has no sandbox

    try:
        yield
    except SandboxError as error:
        raise Refusal("SANDBOX", str(error)) from error


@click.command()
@click.option("--port", default=8000, show_default=True, help="Or the next one that is free.")
def demo(port: int) -> None:
    """Everything at once: servers, data, simulated usage, a fake Stripe. Needs no setting.

    DATABASE_URL and REDIS_URL are used in place of embedded servers where they are set, and the
    real Stripe where STRIPE_API_KEY is: a test key.
    """
    from sandbox.demo import run  # noqa: PLC0415

    with _told():
        run(port)


@click.command()
def story() -> None:
    """The demo without a person: each step with its proof. Exits 1 if a step fails."""
    from sandbox.story import run  # noqa: PLC0415

    with _told():
        sys.exit(run())


@click.command()
@click.option("--anew", is_flag=True, help="Replace the demo's data of another version.")
def seed(anew: bool) -> None:
    """Fill the migrated, empty database of a sandbox with the demo's data."""
    from commands.runtime import run as run_act  # noqa: PLC0415
    from sandbox.seed import SAID  # noqa: PLC0415
    from sandbox.seed import seed as fill  # noqa: PLC0415

    with _told():
        click.echo(SAID[run_act(lambda runtime: fill(runtime, may_replace=anew))])
