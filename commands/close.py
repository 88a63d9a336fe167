"""`stripe-sync close`: close what has ended, as the worker does every few seconds."""

import sys
from datetime import UTC, datetime

import click

from billing import closing, holds
from billing.accounts import get_organization
from billing.models import HoldReason
from billing.runtime import Runtime
from commands.console import json_option, show
from commands.runtime import ACTOR, run

HOLDS_SHOWN_MAX = 100


@click.command()
@click.option("--org", "slug", help="Only this organization, at once: waives its grace window.")
@click.option(
    "--period-end",
    type=click.DateTime(["%Y-%m-%d"]),
    help="With --org: the day (UTC) on which the period ended.",
)
@click.option("--release", "held_slug", help="Let this organization's held invoice go.")
@click.option(
    "--reason", type=click.Choice([*HoldReason]), help="With --release: what it is held for."
)
@click.option("--note", default="", help="With --release: why, for the audit.")
@json_option
def close(
    slug: str | None,
    period_end: datetime | None,
    held_slug: str | None,
    reason: HoldReason | None,
    note: str,
    as_json: bool,
) -> None:
    """Issue the invoice of every period whose grace is over, or of one organization now.

    Cut off, it goes on where it stopped; what is held or failed is told and stops nobody else.
    """
    if (held_slug is None) != (reason is None):
        raise click.UsageError("Give --release and --reason together, or neither.")
    if (slug is None) != (period_end is None):
        raise click.UsageError("Give --org and --period-end together, or neither.")
    if held_slug is not None and reason is not None:
        _release_hold(held_slug, HoldReason(reason), note, as_json)
    elif slug is not None and period_end is not None:
        ended, org_slug = period_end.replace(tzinfo=UTC), slug
        number = run(lambda runtime: _close_one(runtime, org_slug, ended))
        show({"issued": 1, "number": number}, f"{number} is issued.", as_json=as_json)
    else:
        _close_all(as_json)


def _release_hold(slug: str, reason: HoldReason, note: str, as_json: bool) -> None:
    run(lambda runtime: _release(runtime, slug, reason, note))
    answer = {"organization": slug, "reason": reason}
    show(answer, f"{slug} is held for {reason} no longer.", as_json=as_json)


def _close_all(as_json: bool) -> None:
    report = run(_close_due)
    held = run(_holds)
    failed = [{"invoice": str(x.invoice_id), "message": x.message} for x in report.failed]
    answer = {"issued": report.issued, "held": report.held, "failed": failed, "holds": held}
    lines = [f"{report.issued} invoices issued, {report.held} held, {len(failed)} failed."]
    lines += [f"  {x['invoice']}: {x['message']}" for x in failed]
    lines += [f"  {x['organization']}, {x['reason']}: {x['message']}" for x in held]
    show(answer, "\n".join(lines), as_json=as_json)


async def _close_due(runtime: Runtime) -> closing.CloseReport:
    now = await runtime.now()
    async with runtime.sessions() as session:
        due = (await closing.close_progress(session, now)).due
    with click.progressbar(length=due, label="Closing", file=sys.stderr) as bar:
        return await closing.close_due(runtime, told=bar.update)


async def _holds(runtime: Runtime) -> list[dict[str, str]]:
    async with runtime.sessions() as session:
        rows = await holds.open_holds(session, limit=HOLDS_SHOWN_MAX)
    return [
        {"organization": org.slug, "period": str(invoice.period)}
        | {"reason": hold.reason, "message": hold.message}
        for org, invoice, hold in rows
    ]


async def _release(runtime: Runtime, slug: str, reason: HoldReason, note: str) -> None:
    now = await runtime.now()
    async with runtime.sessions.begin() as session:
        org = await get_organization(session, slug)
        await holds.release_hold(session, org, reason, note=note, actor=ACTOR, now=now)


async def _close_one(runtime: Runtime, slug: str, period_end: datetime) -> str:
    now = await runtime.now()
    async with runtime.sessions() as session:
        org = await get_organization(session, slug)
    async with runtime.sessions.begin() as session:
        invoice = await closing.close_period_now(session, org, period_end, actor=ACTOR, now=now)
    async with runtime.sessions() as session:
        await closing.refuse_held(session, invoice)
    return str(invoice.number)
