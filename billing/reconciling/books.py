"""The signed report on a period: what we issued, what Stripe has of it, and every difference.

Signed by a key made of SECRET_KEY, so that a copy which somebody hands in can be told from one that
was changed. Amounts are decimal strings in major units.
"""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncSession

from billing.errors import Invalid, NotFound
from billing.models import BooksReport, Drift, Invoice, InvoiceSync, ReconciliationRun, SyncState
from billing.reconciling.comparing import parameters, typed
from billing.reconciling.joining import BEING_SENT, TOTALS
from billing.rules.money import Currency, Money
from billing.rules.periods import Period, month_named

VERSION = 1
_PURPOSE = b"stripe-sync books 1"
_SIGNATURE = "signature"


class BooksTampered(Invalid):
    """The report is not as it was signed."""

    code = "BOOKS_TAMPERED"


async def make_books(
    session: AsyncSession, run: ReconciliationRun, *, secret_key: str, is_live: bool, now: datetime
) -> BooksReport:
    """Write the report of a finished run over a period."""
    assert run.period is not None, "only a period has books"
    assert run.finished_at is not None, run.state
    currencies = await _currencies(session, run)
    body: dict[str, Any] = {
        "version": VERSION,
        "period": run.period,
        "mode": "live" if is_live else "test",
        "made_at": _told(now),
        "run": str(run.id),
        "read": {"from": _told(run.window_start), "to": _told(run.window_end)},
        "not_needed": await _not_needed(session, month_named(run.period)),
        "currencies": currencies,
        "being_sent": await _being_sent(session, run),
        "counts": run.counts,
        "differences": await _differences(session, run),
    }
    body["is_equal"] = not any(kind != "FOREIGN" for kind in run.counts) and all(
        row["ours"] == row["stripe"] for row in currencies
    )
    report = BooksReport(
        run_id=run.id,
        period=run.period,
        made_at=now,
        body=body,
        signature=signature_of(body, secret_key),
    )
    session.add(report)
    await session.flush()
    return report


async def _currencies(session: AsyncSession, run: ReconciliationRun) -> list[dict[str, Any]]:
    rows = await session.execute(typed(TOTALS), _parameters(run))
    return [
        {
            "currency": row.currency,
            "ours": _side(row.our_count, row.our_total, row.currency),
            "stripe": _side(row.their_count, row.their_total, row.currency),
            "difference": _major(int(row.our_total - row.their_total), row.currency),
        }
        for row in rows
    ]


async def _being_sent(session: AsyncSession, run: ReconciliationRun) -> list[dict[str, Any]]:
    """Too young to be listed among the differences: it may be why the totals differ."""
    rows = await session.execute(typed(BEING_SENT), _parameters(run))
    return [
        {"currency": row.currency, **_side(row.invoices, row.total, row.currency)} for row in rows
    ]


def _parameters(run: ReconciliationRun) -> dict[str, object]:
    """As it was compared: what is an hour old now was not then."""
    assert run.finished_at is not None, run.state
    return parameters(run, run.finished_at)


def _side(count: int, total: int, currency: str) -> dict[str, Any]:
    return {"invoices": count, "total": _major(int(total), currency)}


def _major(minor: int, currency: str) -> str:
    """In major units; minor ones where Stripe bills in a currency that we do not."""
    if currency not in set(Currency):
        return f"{minor} minor units"
    return f"{Money(minor, Currency(currency)).major:f}"


async def _not_needed(session: AsyncSession, month: Period) -> int:
    """Invoices over nothing, which Stripe never gets."""
    return (
        await session.scalar(
            select(func.count())
            .select_from(Invoice)
            .join(InvoiceSync, InvoiceSync.invoice_id == Invoice.id)
            .where(
                Invoice.period_start >= month.start,
                Invoice.period_start < month.end,
                InvoiceSync.state == SyncState.NOT_NEEDED,
            )
        )
        or 0
    )


async def _differences(session: AsyncSession, run: ReconciliationRun) -> list[dict[str, Any]]:
    drifts = await session.scalars(
        select(Drift)
        .where(Drift.run_id == run.id)
        .order_by(Drift.kind, Drift.number, Drift.stripe_invoice_id)
    )
    return [
        {
            "kind": drift.kind,
            "number": drift.number,
            "stripe_invoice_id": drift.stripe_invoice_id,
            "ours": drift.ours,
            "stripe": drift.theirs,
            "message": drift.message,
            "repair": drift.repair,
            "result": drift.result,
        }
        for drift in drifts
    ]


def _told(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat()


def signature_of(body: Mapping[str, Any], secret_key: str) -> str:
    """HMAC-SHA256 over the report as canonical JSON: sorted names, no spaces, UTF-8."""
    key = hmac.new(secret_key.encode(), _PURPOSE, hashlib.sha256).digest()
    canonical = msgspec.json.encode(body, order="deterministic")
    return hmac.new(key, canonical, hashlib.sha256).hexdigest()


def signed(report: BooksReport) -> dict[str, Any]:
    """The report as it is handed out."""
    return {**report.body, _SIGNATURE: report.signature}


def verify_books(document: bytes, secret_key: str) -> dict[str, Any]:
    """The report in a file, if it is as we signed it. Raises `BooksTampered`, `Invalid`."""
    try:
        told = msgspec.json.decode(document, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise Invalid("This is no books report: it is not JSON.", code="INVALID_JSON") from None
    given = told.pop(_SIGNATURE, None)
    if not isinstance(given, str) or not given.isascii():
        raise BooksTampered("The report has no signature.")
    if not hmac.compare_digest(given, signature_of(told, secret_key)):
        raise BooksTampered("The report was changed since it was signed, or by another SECRET_KEY.")
    return told


async def find_books(session: AsyncSession, period: str) -> BooksReport:
    """The latest report of a month. Raises `Invalid`, `NotFound`."""
    month_named(period)
    report = await session.scalar(
        select(BooksReport)
        .where(BooksReport.period == period)
        .order_by(BooksReport.made_at.desc(), BooksReport.id.desc())
        .limit(1)
    )
    if report is None:
        raise NotFound(
            f"There are no books of {period} yet: `stripe-sync reconcile books --period {period}`"
            " makes them.",
            code="BOOKS_NOT_FOUND",
        )
    return report


async def latest_books(session: AsyncSession, *, limit: int) -> Sequence[BooksReport]:
    """The latest report of each month, the newest month first."""
    rows = await session.scalars(
        select(BooksReport)
        .ext(distinct_on(BooksReport.period))
        .order_by(BooksReport.period.desc(), BooksReport.made_at.desc())
        .limit(limit)
    )
    return rows.all()
