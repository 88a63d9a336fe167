"""`stripe-sync close`: close what has ended, as the worker does every few seconds."""

import sys
from datetime import UTC, datetime

import click

from billing import closing
from billing.accounts import get_organization
from billing.runtime import Runtime
from commands.console import json_option, show
from commands.runtime import ACTOR, run


@click.command()
@click.option("--org", "slug", help="Only this organization, at once: waives its grace window.")
@click.option(
    "--period-end",
    type=click.DateTime(["%Y-%m-%d"]),
    help="With --org: the day (UTC) on which the period ended.",
)
@json_option
def close(slug: str | None, period_end: datetime | None, as_json: bool) -> None:
    """Issue the invoice of every period whose grace is over, or of one organization now.

    Cut off, it goes on where it stopped; what is held or failed is told and stops nobody else.
    """
    if (slug is None) != (period_end is None):
        raise click.UsageError("Give --org and --period-end together, or neither.")
    if slug is None or period_end is None:
        report = run(_close_due)
        failed = [{"invoice": str(x.invoice_id), "message": x.message} for x in report.failed]
        answer = {"issued": report.issued, "held": report.held, "failed": failed}
        lines = [f"{report.issued} invoices issued, {report.held} held, {len(failed)} failed."]
        lines += [f"  {x['invoice']}: {x['message']}" for x in failed]
        show(answer, "\n".join(lines), as_json=as_json)
        return
    ended, org_slug = period_end.replace(tzinfo=UTC), slug
    number = run(lambda runtime: _close_one(runtime, org_slug, ended))
    show({"issued": 1, "number": number}, f"{number} is issued.", as_json=as_json)


async def _close_due(runtime: Runtime) -> closing.CloseReport:
    now = await runtime.now()
    async with runtime.sessions() as session:
        due = (await closing.close_progress(session, now)).due
    with click.progressbar(length=due, label="Closing", file=sys.stderr) as bar:
        return await closing.close_due(runtime, told=bar.update)


async def _close_one(runtime: Runtime, slug: str, period_end: datetime) -> str:
    now = await runtime.now()
    async with runtime.sessions() as session:
        org = await get_organization(session, slug)
    async with runtime.sessions.begin() as session:
        invoice = await closing.close_period_now(session, org, period_end, actor=ACTOR, now=now)
    async with runtime.sessions() as session:
        await closing.refuse_held(session, invoice)
    return str(invoice.number)
