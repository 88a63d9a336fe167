"""Beginning a run: over which window, and when by itself."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from billing.models import (
    Invoice,
    InvoiceSync,
    ReconciliationRun,
    RunScope,
    RunState,
    StripeSnapshot,
    SyncState,
)
from billing.rules.periods import month_named
from billing.runtime import Runtime

SETTLING = timedelta(minutes=15)
"""What Stripe made in this time is left out: it may be on its way."""

WINDOW = timedelta(days=45)
UNSETTLED_WINDOW = timedelta(days=400)
CLOCK_SLACK = timedelta(hours=1)
NIGHTLY_HOUR = 3
HOURLY = timedelta(hours=1)
RUNS_WITH_SNAPSHOTS = 3
_SCHEDULING_LOCK = 0x7265636F


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be compared, and whether what is safe is mended: by default nothing is touched.

    `period` is a month such as `2026-11`; it makes the scope PERIOD.
    """

    scope: RunScope = RunScope.WINDOW
    period: str | None = None
    is_repairing: bool = False


async def start_run(
    session: AsyncSession, wanted: Wanted, *, actor: str, now: datetime
) -> ReconciliationRun:
    """Queue a run; the sweep does the rest. Raises `Invalid` for what is no month."""
    start, end = await _window(session, wanted, now)
    run = ReconciliationRun(
        scope=RunScope.PERIOD if wanted.period else wanted.scope,
        state=RunState.READING,
        period=wanted.period,
        window_start=start,
        window_end=end,
        is_repairing=wanted.is_repairing,
        actor=actor,
        counts={},
        next_attempt_at=now,
        started_at=now,
    )
    session.add(run)
    await session.flush()
    await _forget_old_snapshots(session)
    return run


async def _window(
    session: AsyncSession, wanted: Wanted, now: datetime
) -> tuple[datetime, datetime]:
    end = now - SETTLING
    if wanted.period is not None:
        month = month_named(wanted.period)
        span = (
            await session.execute(
                select(
                    func.min(Invoice.issued_at).label("first"),
                    func.max(func.coalesce(InvoiceSync.pushed_at, now)).label("last"),
                )
                .join(InvoiceSync, InvoiceSync.invoice_id == Invoice.id)
                .where(
                    Invoice.period_start >= month.start,
                    Invoice.period_start < month.end,
                    InvoiceSync.state != SyncState.NOT_NEEDED,
                )
            )
        ).one()
        if span.first is None:
            return end, end
        start = min(span.first, end)
        return start, max(start, min(end, span.last + CLOCK_SLACK))
    return now - (UNSETTLED_WINDOW if wanted.scope is RunScope.UNSETTLED else WINDOW), end


async def _forget_old_snapshots(session: AsyncSession) -> None:
    latest = (
        select(ReconciliationRun.id)
        .order_by(ReconciliationRun.started_at.desc(), ReconciliationRun.id.desc())
        .limit(RUNS_WITH_SNAPSHOTS)
    )
    unfinished = select(ReconciliationRun.id).where(ReconciliationRun.finished_at.is_(None))
    await session.execute(
        delete(StripeSnapshot).where(
            StripeSnapshot.run_id.not_in(latest), StripeSnapshot.run_id.not_in(unfinished)
        )
    )


async def schedule_runs(runtime: Runtime) -> None:
    """Every night the last 45 days, every hour what is not settled yet; once, whoever asks."""
    now = await runtime.now()
    async with runtime.sessions.begin() as session:
        await session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _SCHEDULING_LOCK})
        tonight = now.replace(hour=NIGHTLY_HOUR, minute=0, second=0, microsecond=0)
        if tonight > now:
            tonight -= timedelta(days=1)
        is_repairing = runtime.settings.reconcile_repairs
        for scope, since in (
            (RunScope.WINDOW, tonight),
            (RunScope.UNSETTLED, now - HOURLY + timedelta(seconds=1)),
        ):
            if await _has_run(session, scope, since):
                continue
            wanted = Wanted(scope, is_repairing=is_repairing)
            await start_run(session, wanted, actor="schedule", now=now)


async def _has_run(session: AsyncSession, scope: RunScope, since: datetime) -> bool:
    found = await session.scalar(
        select(ReconciliationRun.id)
        .where(
            ReconciliationRun.scope == scope,
            ReconciliationRun.actor == "schedule",
            ReconciliationRun.started_at >= since,
        )
        .limit(1)
    )
    return found is not None
