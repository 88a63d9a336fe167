"""Both sides joined: what differs gets a row, with its kind and what may mend it."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Boolean, DateTime, Integer, Row, TextClause, Uuid, bindparam, delete, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.types import TypeEngine

from billing.models import Drift, ReconciliationRun, RunScope
from billing.reconciling.joining import DIFFERENCES
from billing.rules.drift import MEANINGS, DriftKind, Situation, repair_of
from billing.rules.money import Currency, Money
from billing.rules.periods import Period, month_named

IN_PROGRESS = timedelta(hours=1)
"""How long sending an invoice may take before it counts as stuck."""

ROWS_PER_KIND_MAX = 1000
"""Of more, only the number is kept: something is wrong with the account, not with invoices."""

LINES_SENT_AS_THEY_ARE_MAX = 250
"""Invoices with more lines are rolled up when they are sent."""

_INSTANT = DateTime(timezone=True)
_TYPES: dict[str, TypeEngine[Any]] = {
    "run_id": Uuid(),
    "window_start": _INSTANT,
    "window_end": _INSTANT,
    "period_start": _INSTANT,
    "period_end": _INSTANT,
    "hour_ago": _INSTANT,
    "is_unsettled": Boolean(),
    "lines_max": Integer(),
}


async def compare(session: AsyncSession, run: ReconciliationRun, now: datetime) -> None:
    """Write the differences of a run whose pages have all been read; again is fine."""
    await session.execute(delete(Drift).where(Drift.run_id == run.id))
    await session.execute(text("ANALYZE stripe_snapshots"))  # it has just grown by a run
    rows = await session.execute(typed(DIFFERENCES), parameters(run, now))
    counts: dict[str, int] = {}
    for row in rows:
        counts[row.kind] = row.of_kind
        if row.place <= ROWS_PER_KIND_MAX:
            session.add(_drift_of(run, row))
    run.counts = counts
    await session.flush()


def typed(statement: str) -> TextClause:
    """With the types of its parameters, where the database could not know them."""
    named = {name: type_ for name, type_ in _TYPES.items() if f":{name}" in statement}
    return text(statement).bindparams(*(bindparam(x, type_=named[x]) for x in named))


def parameters(run: ReconciliationRun, now: datetime) -> dict[str, object]:
    """What the join needs to know of a run."""
    month: Period | None = None if run.period is None else month_named(run.period)
    return {
        "run_id": run.id,
        "window_start": run.window_start,
        "window_end": run.window_end,
        "period_start": month and month.start,
        "period_end": month and month.end,
        "hour_ago": now - IN_PROGRESS,
        "is_unsettled": run.scope is RunScope.UNSETTLED,
        "lines_max": LINES_SENT_AS_THEY_ARE_MAX,
    }


def _drift_of(run: ReconciliationRun, row: Row[Any]) -> Drift:
    kind = DriftKind(row.kind)
    situation = Situation(
        kind,
        is_stopped=row.is_stopped,
        is_settled=row.is_settled,
        is_void=row.is_void,
        is_issued=row.is_issued,
        is_unexplained=row.is_unexplained,
    )
    return Drift(
        run_id=run.id,
        kind=kind,
        repair=repair_of(situation),
        invoice_id=row.invoice_id,
        org_id=row.org_id,
        number=row.number,
        stripe_invoice_id=row.stripe_invoice_id,
        ours=row.ours,
        theirs=row.theirs,
        message=_message(kind, row.ours, row.theirs),
    )


def _message(kind: DriftKind, ours: dict[str, Any], theirs: dict[str, Any]) -> str:
    """What the kind means, and each field that both sides have and say differently."""
    apart = [
        f"{name.removesuffix('_minor').replace('_', ' ')}: {_told(name, ours)} here,"
        f" {_told(name, theirs)} there"
        for name in ours
        if name in theirs
        and theirs[name] is not None
        and str(ours[name]).lower() != str(theirs[name]).lower()
    ]
    is_told = kind in {DriftKind.AMOUNT_DRIFT, DriftKind.STATUS_DRIFT, DriftKind.PAYMENT_DRIFT}
    return f"{MEANINGS[kind]} {'; '.join(apart)}." if is_told and apart else MEANINGS[kind]


def _told(name: str, side: dict[str, Any]) -> str:
    """Amounts in major units, where it is a currency of ours; the rest as it is, in small."""
    currency = str(side.get("currency")).upper()
    if name.endswith("_minor") and currency in set(Currency):
        return f"{Money(side[name], Currency(currency)).major:f}"
    return str(side[name]).lower()
