"""For staff: how our books and Stripe's differ, and the signed report of each month."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from billing.accounts import Viewer
from billing.customers import stuck_customers
from billing.errors import NotFound
from billing.models import BooksReport, ReconciliationRun
from billing.reconciling import (
    Found,
    drifts_of,
    find_books,
    find_run,
    latest_books,
    latest_comparison,
    latest_runs,
    signed,
    unrepaired_counts,
)
from billing.runtime import Runtime
from billing.stripe_events import find_endpoint, inbox_health
from web.auth import data, page
from web.exports import csv_response, instant_told
from web.rendering import render

RUNS_SHOWN = 20
DRIFTS_SHOWN_MAX = 500
BOOKS_SHOWN = 24
STUCK_SHOWN_MAX = 20
_COLUMNS = ("kind", "organization", "number", "stripe_invoice_id", "message", "repair", "result")
_BOOKS_COLUMNS = ("kind", "currency", "number", "stripe_invoice_id", "ours", "stripe", "message")


async def books_context(runtime: Runtime) -> dict[str, Any]:
    """The summary on the first page of staff."""
    now = await runtime.now()
    async with runtime.sessions() as session:
        return {
            "compared": await latest_comparison(session),
            "open_drifts": sum((await unrepaired_counts(session)).values()),
            "inbox": await inbox_health(session, now),
            "endpoint": await find_endpoint(session, now),
            "stuck_customers": await stuck_customers(session, limit=STUCK_SHOWN_MAX),
        }


async def reconciliation(request: Request) -> Response:
    """The latest run, or the one that is asked for."""
    run, found, runs = await _shown(request)
    async with request.state.runtime.sessions() as session:
        books = await latest_books(session, limit=BOOKS_SHOWN)
    query = request.query_params.get("run")
    return render(
        request,
        "ops/reconciliation.html",
        run=run,
        runs=runs,
        found=found,
        books=books,
        here=f"?run={run.id}" if run and query else "",
    )


async def reconciliation_as_json(request: Request) -> Response:
    """The run and its differences, both sides of each."""
    run, found, _ = await _shown(request)
    differences = [
        _told(one) | {"ours": one.drift.ours, "stripe": one.drift.theirs} for one in found
    ]
    return JSONResponse({"run": None if run is None else _run(run), "differences": differences})


async def reconciliation_as_csv(request: Request) -> Response:
    """One row a difference."""
    _, found, _ = await _shown(request)
    rows = [[told[column] for column in _COLUMNS] for told in map(_told, found)]
    return csv_response("reconciliation.csv", _COLUMNS, rows)


async def books(request: Request) -> Response:
    """One month's latest report."""
    report = await _report(request)
    return render(request, "ops/books.html", report=report, body=report.body)


async def books_as_json(request: Request) -> Response:
    """As it was signed: `stripe-sync reconcile verify` takes this very file."""
    return JSONResponse(signed(await _report(request)))


async def books_as_csv(request: Request) -> Response:
    """A row for each currency's totals, then one for each difference."""
    report = await _report(request)
    totals = [
        ("TOTAL", row["currency"], "", "", row["ours"]["total"], row["stripe"]["total"], "")
        for row in report.body["currencies"]
    ]
    differences = [
        (
            one["kind"],
            one["ours"].get("currency", one["stripe"].get("currency", "")).upper(),
            one["number"],
            one["stripe_invoice_id"],
            "",
            "",
            one["message"],
        )
        for one in report.body["differences"]
    ]
    return csv_response(f"books-{report.period}.csv", _BOOKS_COLUMNS, [*totals, *differences])


async def _shown(
    request: Request,
) -> tuple[ReconciliationRun | None, Sequence[Found], Sequence[ReconciliationRun]]:
    _require_staff(request)
    runtime: Runtime = request.state.runtime
    async with runtime.sessions() as session:
        runs = await latest_runs(session, limit=RUNS_SHOWN)
        asked = request.query_params.get("run")
        run = await find_run(session, _id(asked)) if asked else (runs[0] if runs else None)
        found = [] if run is None else await drifts_of(session, run.id, limit=DRIFTS_SHOWN_MAX)
    return run, found, runs


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise NotFound("There is no such run.", code="RUN_NOT_FOUND") from None


def _run(run: ReconciliationRun) -> dict[str, Any]:
    return {
        "id": str(run.id),
        "scope": run.scope,
        "period": run.period,
        "state": run.state,
        "from": instant_told(run.window_start),
        "to": instant_told(run.window_end),
        "started_at": instant_told(run.started_at),
        "finished_at": instant_told(run.finished_at),
        "dry_run": not run.is_repairing,
        "invoices_read": run.invoices_read,
        "list_calls": run.list_calls,
        "repair_calls": run.repair_calls,
        "repaired": run.repaired,
        "counts": run.counts,
    }


def _told(one: Found) -> dict[str, Any]:
    return {
        "kind": one.drift.kind,
        "organization": one.org.slug if one.org else None,
        "number": one.drift.number,
        "stripe_invoice_id": one.drift.stripe_invoice_id,
        "message": one.drift.message,
        "repair": one.drift.repair,
        "repaired_at": instant_told(one.drift.repaired_at),
        "result": one.drift.result,
    }


async def _report(request: Request) -> BooksReport:
    _require_staff(request)
    runtime: Runtime = request.state.runtime
    async with runtime.sessions() as session:
        return await find_books(session, request.path_params["period"])


def _require_staff(request: Request) -> None:
    viewer: Viewer = request.state.viewer
    viewer.require_ops()


routes = [
    page("/ops/reconciliation", reconciliation),
    data("/ops/reconciliation.json", reconciliation_as_json),
    page("/ops/reconciliation.csv", reconciliation_as_csv),
    data("/ops/books/{period}.json", books_as_json),
    page("/ops/books/{period}.csv", books_as_csv),
    page("/ops/books/{period}", books),
]
