"""`stripe-sync reconcile …`: our books against Stripe's, and the signed report on a month."""

import sys
from pathlib import Path
from typing import Any

import click

from billing import reconciling
from billing.models import BooksReport, ReconciliationRun
from billing.reconciling import Found, Wanted
from billing.runtime import Runtime
from billing.settings import load_settings
from commands.console import json_option, show
from commands.runtime import ACTOR, run

LISTED_MAX = 10_000
_LINES_SHOWN = 50


@click.group(invoke_without_command=True)
@click.option("--period", help="Only the invoices of this month: YYYY-MM. Else the last 45 days.")
@click.option("--dry-run/--repair", default=True, help="Only tell (the default), or mend too.")
@json_option
@click.pass_context
def reconcile(context: click.Context, period: str | None, dry_run: bool, as_json: bool) -> None:
    """Compare every invoice with Stripe's, and tell each difference.

    With --repair what is safe is mended, 20 at most: pushes are taken up again, Stripe's word is
    fetched, surplus drafts are deleted. Money is left to a person. Exits 1 while anything differs.
    """
    if context.invoked_subcommand is not None:
        return
    wanted = Wanted(period=period, is_repairing=not dry_run)
    made, found = run(lambda runtime: _reconcile(runtime, wanted))
    show(_told(made, found), _text(made, found), as_json=as_json)
    if any(one.drift.repaired_at is None and one.drift.kind != "FOREIGN" for one in found):
        sys.exit(1)


async def _reconcile(runtime: Runtime, wanted: Wanted) -> tuple[ReconciliationRun, list[Found]]:
    made = await _run(runtime, wanted)
    async with runtime.sessions() as session:
        return made, list(await reconciling.drifts_of(session, made.id, limit=LISTED_MAX))


async def _run(runtime: Runtime, wanted: Wanted) -> ReconciliationRun:
    async with runtime.sessions.begin() as session:
        made = await reconciling.start_run(session, wanted, actor=ACTOR, now=await runtime.now())
    return await reconciling.finish_run(runtime, made.id)


def _told(made: ReconciliationRun, found: list[Found]) -> dict[str, Any]:
    return {
        "run": made.id,
        "state": made.state,
        "period": made.period,
        "from": made.window_start.isoformat(),
        "to": made.window_end.isoformat(),
        "dry_run": not made.is_repairing,
        "invoices_read": made.invoices_read,
        "list_calls": made.list_calls,
        "repair_calls": made.repair_calls,
        "repaired": made.repaired,
        "counts": made.counts,
        "differences": [
            {
                "kind": one.drift.kind,
                "organization": one.org.slug if one.org else None,
                "number": one.drift.number,
                "stripe_invoice_id": one.drift.stripe_invoice_id,
                "ours": one.drift.ours,
                "stripe": one.drift.theirs,
                "message": one.drift.message,
                "repair": one.drift.repair,
                "result": one.drift.result,
                "repaired": one.drift.repaired_at is not None,
            }
            for one in found
        ],
    }


def _text(made: ReconciliationRun, found: list[Found]) -> str:
    lines = [_line(one) for one in found[:_LINES_SHOWN]]
    if len(found) > _LINES_SHOWN:
        lines.append(f"… and {len(found) - _LINES_SHOWN} more: --json tells all.")
    counts = ", ".join(f"{count} {kind}" for kind, count in sorted(made.counts.items()))
    lines.append(
        f"{made.invoices_read} Stripe invoices read in {made.list_calls} calls:"
        f" {counts or 'no difference'}."
    )
    if made.is_repairing:
        lines.append(f"{made.repaired} mended in {made.repair_calls} calls.")
    return "\n".join(lines)


def _line(one: Found) -> str:
    drift = one.drift
    about = " ".join(x for x in (drift.number, drift.stripe_invoice_id) if x)
    then = drift.result or {"PERSON": "needs a person", "NOTHING": "none of ours"}.get(
        drift.repair, f"--repair would {drift.repair.replace('_', ' ').lower()}"
    )
    return f"{drift.kind} {about}: {drift.message} → {then}"


@reconcile.command()
@click.option("--period", required=True, help="The month: YYYY-MM.")
@json_option
def books(period: str, as_json: bool) -> None:
    """Compare a month and sign the report: counts, totals per currency, every difference.

    Exits 1 unless both sides are equal.
    """
    report = run(lambda runtime: _books(runtime, period))
    show(reconciling.signed(report), _books_text(report), as_json=as_json)
    if not report.body["is_equal"]:
        sys.exit(1)


async def _books(runtime: Runtime, period: str) -> BooksReport:
    made = await _run(runtime, Wanted(period=period))
    settings = runtime.settings
    async with runtime.sessions.begin() as session:
        return await reconciling.make_books(
            session,
            made,
            secret_key=settings.secret_key,
            is_live=settings.stripe_is_live,
            now=await runtime.now(),
        )


def _books_text(report: BooksReport) -> str:
    body = report.body
    lines = [
        f"{row['currency']}: ours {row['ours']['total']} on {row['ours']['invoices']} invoices,"
        f" Stripe's {row['stripe']['total']} on {row['stripe']['invoices']},"
        f" difference {row['difference']}"
        for row in body["currencies"]
    ]
    lines += [
        f"{row['currency']}: {row['total']} of ours on {row['invoices']} invoices is just being"
        " sent, and was not compared yet"
        for row in body["being_sent"]
    ]
    counts = ", ".join(f"{count} {kind}" for kind, count in sorted(body["counts"].items()))
    verdict = "The books are equal" if body["is_equal"] else "The books differ"
    lines.append(f"{verdict}: {counts or 'no difference'}. Signature {report.signature}")
    return "\n".join(lines)


@reconcile.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@json_option
def verify(file: Path, as_json: bool) -> None:
    """Tell whether a books report in JSON is as it was signed. Exits 1 if it was changed."""
    told = reconciling.verify_books(file.read_bytes(), load_settings().secret_key)
    answer = {"period": told["period"], "made_at": told["made_at"], "is_equal": told["is_equal"]}
    text = f"As signed: the books of {told['period']}, made at {told['made_at']}."
    show(answer, text, as_json=as_json)
