"""A run from its start to its end: pages are read, then compared, then what is safe is mended.

Each page is committed with the cursor that leads to the next, so that a run goes on where a crash
or a limit stopped it, in whatever worker comes first. A lease keeps two from the same run.
"""

import asyncio
import logging
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from billing.errors import BillingError, Conflict, Unavailable
from billing.models import (
    ReconciliationRun,
    RunState,
)
from billing.reconciling.comparing import compare
from billing.reconciling.pages import queries_of, read_page
from billing.reconciling.repairing import repair_next
from billing.runtime import Runtime
from billing.stripe_limits import Lane, in_lane

log = logging.getLogger(__name__)

LEASE = timedelta(minutes=5)
BUDGET_SECONDS = 200
ATTEMPTS_MAX = 100


class Overtaken(Exception):
    """The lease ran out and another worker goes on with the run."""


class Taken(Conflict):
    """Another worker has the run: what it will find is not known here."""

    code = "RUN_TAKEN"


async def reconcile_due(runtime: Runtime) -> int:
    """Go on with every run that is due; answers how many were brought to their end."""
    deadline = asyncio.get_running_loop().time() + BUDGET_SECONDS
    finished = 0
    while asyncio.get_running_loop().time() < deadline and (run := await _claim(runtime)):
        with in_lane(Lane.REFETCH):
            finished += await _advance_safely(runtime, run, deadline)
    return finished


async def finish_run(runtime: Runtime, run_id: UUID) -> ReconciliationRun:
    """Bring one run to its end here and now.

    Raises `Unavailable` when Stripe is away: the worker's sweep goes on with it then; and `Taken`
    when that has it already.
    """
    run = await _claim(runtime, run_id)
    try:
        while run is not None and run.finished_at is None:
            run = await _step(runtime, run)
    except Overtaken:
        run = None
    if run is None:
        raise Taken("A worker has this run already: /ops/reconciliation shows what it finds.")
    return run


async def _claim(runtime: Runtime, run_id: UUID | None = None) -> ReconciliationRun | None:
    """Lease one: in two statements, for a limit inside an UPDATE may be tried for every row."""
    now = await runtime.now()
    due = (
        select(ReconciliationRun)
        .where(ReconciliationRun.finished_at.is_(None), ReconciliationRun.next_attempt_at <= now)
        .order_by(ReconciliationRun.next_attempt_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    if run_id is not None:
        due = due.where(ReconciliationRun.id == run_id)
    async with runtime.sessions.begin() as session:
        run = await session.scalar(due)
        if run is not None:
            run.next_attempt_at = now + LEASE
            run.claim += 1
        return run


async def _advance_safely(runtime: Runtime, run: ReconciliationRun, deadline: float) -> bool:
    """Until the end, the deadline, or trouble; answers whether it was the end."""
    now = await runtime.now()
    try:
        while run.finished_at is None and asyncio.get_running_loop().time() < deadline:
            run = await _step(runtime, run)
    except Overtaken:
        log.warning("reconciliation %s: another worker goes on with it", run.id)
        return False
    except Unavailable as error:
        pause = error.retry_after
        await _postpone(runtime, run, now + pause, error, is_failure=not error.is_rate_limit)
        return False
    except BillingError as error:
        await _stop(runtime, run, error)
        return True
    if run.finished_at is None:
        await _postpone(runtime, run, now, None, is_failure=False)
    return run.finished_at is not None


async def _step(runtime: Runtime, run: ReconciliationRun) -> ReconciliationRun:
    match run.state:
        case RunState.READING:
            return await _read(runtime, run)
        case RunState.COMPARING:
            return await _compare(runtime, run)
        case _:
            return await _repair(runtime, run)


async def _read(runtime: Runtime, run: ReconciliationRun) -> ReconciliationRun:
    query = queries_of(run)[run.stage]
    page = await runtime.stripe.list_invoices(query, run.cursor)
    async with runtime.sessions.begin() as session:
        held = await _held(session, run, await runtime.now())
        await read_page(session, held.id, page)
        held.list_calls += 1
        held.invoices_read += len(page.invoices)
        held.cursor = page.cursor
        if page.cursor is None:
            held.stage += 1
            if held.stage == len(queries_of(held)):
                held.state = RunState.COMPARING
        return held


async def _compare(runtime: Runtime, run: ReconciliationRun) -> ReconciliationRun:
    now = await runtime.now()
    async with runtime.sessions.begin() as session:
        held = await _held(session, run, now)
        await compare(session, held, now)
        if held.is_repairing:
            held.state = RunState.REPAIRING
        else:
            _finish(held, now)
    _tell(held)
    return held


async def _repair(runtime: Runtime, run: ReconciliationRun) -> ReconciliationRun:
    mended = await repair_next(runtime, run)
    async with runtime.sessions.begin() as session:
        held = await _held(session, run, await runtime.now())
        if mended is None:
            _finish(held, await runtime.now())
        else:
            held.repair_calls += mended.calls
            held.repaired += mended.is_repaired
        return held


def _finish(run: ReconciliationRun, now: datetime) -> None:
    run.state = RunState.DONE
    run.finished_at = now
    run.error_code = run.error_message = None


def _tell(run: ReconciliationRun) -> None:
    found = {kind: count for kind, count in run.counts.items() if kind != "FOREIGN"}
    if found:
        log.error("reconciliation %s found %s", run.id, found)


async def _held(session: AsyncSession, run: ReconciliationRun, now: datetime) -> ReconciliationRun:
    """The row, locked and its lease renewed, if it is still ours. Raises `Overtaken`."""
    held = await session.get_one(ReconciliationRun, run.id, with_for_update=True)
    if held.claim != run.claim or held.finished_at is not None:
        raise Overtaken
    held.next_attempt_at = now + LEASE
    return held


async def _postpone(
    runtime: Runtime,
    run: ReconciliationRun,
    at: datetime,
    error: BillingError | None,
    *,
    is_failure: bool,
) -> None:
    async with runtime.sessions.begin() as session:
        held = await session.get_one(ReconciliationRun, run.id, with_for_update=True)
        if held.claim != run.claim:
            return
        held.next_attempt_at = at
        held.attempts += is_failure
        if error is not None:
            held.error_code, held.error_message = error.code, str(error)
        if held.attempts >= ATTEMPTS_MAX:
            held.state, held.finished_at = RunState.FAILED, await runtime.now()


async def _stop(runtime: Runtime, run: ReconciliationRun, error: BillingError) -> None:
    log.error("reconciliation %s stopped: %s: %s", run.id, error.code, error)
    async with runtime.sessions.begin() as session:
        held = await session.get_one(ReconciliationRun, run.id, with_for_update=True)
        if held.claim == run.claim:
            held.state, held.finished_at = RunState.FAILED, await runtime.now()
            held.error_code, held.error_message = error.code, str(error)
