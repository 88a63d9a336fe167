"""`stripe-sync sync …`: what Stripe still lacks."""

import click

from billing import credit_notes, invoice_sync
from billing.errors import NotFound
from billing.invoices import SyncHealth, sync_health
from billing.runtime import Runtime
from commands.console import json_option, show
from commands.runtime import ACTOR, run
from commands.sync_watch import watch


@click.group(invoke_without_command=True)
@click.option("--watch", "is_watching", is_flag=True, help="A line a second until nothing waits.")
@json_option
@click.pass_context
def sync(context: click.Context, is_watching: bool, as_json: bool) -> None:
    """Sending invoices to Stripe: how it is going, and trying again."""
    if context.invoked_subcommand is not None:
        if is_watching:
            raise click.UsageError("--watch goes without a command.")
    elif is_watching:
        run(lambda runtime: watch(runtime, as_json=as_json))
    else:
        click.echo(context.get_help())


@sync.command()
@json_option
def status(as_json: bool) -> None:
    """How many invoices wait, since when, and how many need a person."""
    health = run(_health)
    since = health.oldest_waiting_since
    row = {
        "waiting": health.waiting,
        "oldest_waiting_since": since.isoformat() if since else None,
        "held": health.held,
        "failed": health.failed,
    }
    text = f"{health.waiting} waiting, {health.held} held, {health.failed} failed."
    show(row, text, as_json=as_json)


async def _health(runtime: Runtime) -> SyncHealth:
    now = await runtime.now()
    async with runtime.sessions() as session:
        return await sync_health(session, now)


@sync.command()
@json_option
def push(as_json: bool) -> None:
    """Push everything that is due, as the worker does every few seconds."""
    tried = run(invoice_sync.push_due)
    show({"tried": tried}, f"{tried} pushes tried.", as_json=as_json)


@sync.command()
@click.argument("number")
@json_option
def retry(number: str, as_json: bool) -> None:
    """Queue the invoice or credit note with this number again, its cause being mended."""
    run(lambda runtime: _retry(runtime, number))
    show({"number": number, "state": "PENDING"}, f"{number} is queued again.", as_json=as_json)


async def _retry(runtime: Runtime, number: str) -> None:
    now = await runtime.now()
    async with runtime.sessions.begin() as session:
        try:
            await invoice_sync.retry_push(session, number, actor=ACTOR, now=now)
        except NotFound:
            await credit_notes.retry_credit_note(session, number, actor=ACTOR, now=now)
