"""Issuing what is due: a chunk of organizations a transaction, one that fails alone again."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from billing.charges import Basis, charges_for, issue_charges
from billing.closing.causes import causes_against
from billing.closing.periods import Due, begin_closing, due_invoices
from billing.holds import hold_failed, review
from billing.ids import InvoiceId
from billing.models import Invoice, InvoiceStatus, Organization
from billing.runtime import Runtime
from billing.usage import settle_usage

log = logging.getLogger(__name__)

Told = Callable[[int], None]
"""Hears of every invoice that was looked at, for a progress bar."""


@dataclass(frozen=True, slots=True)
class Failure:
    """An invoice that could not be issued by a fault of ours, and what went wrong."""

    invoice_id: InvoiceId
    message: str


@dataclass(slots=True)
class CloseReport:
    """What one run of closing did. What failed is listed, and tried again by the next."""

    issued: int = 0
    held: int = 0
    failed: list[Failure] = field(default_factory=list)


async def close_due(runtime: Runtime, *, told: Told = lambda _count: None) -> CloseReport:
    """Begin closing what has ended, and issue what has waited long enough.

    Cut off at any point, the next run goes on where this one stopped: everything is in the rows.
    """
    while await _begin_chunk(runtime):
        pass
    report = CloseReport()
    while await _issue_all(runtime, report, told):  # again: an issued period makes the next due
        pass
    return report


async def _begin_chunk(runtime: Runtime) -> int:
    now = await runtime.now()
    async with runtime.sessions.begin() as session:
        return await begin_closing(session, now)


async def _issue_all(runtime: Runtime, report: CloseReport, told: Told) -> bool:
    """Once through everything that is due, past what fails; answers whether anything was issued."""
    now = await runtime.now()
    before, last = report.issued, None
    while True:
        async with runtime.sessions() as session:
            chunk = await due_invoices(session, now, after=last)
        if not chunk:
            return report.issued > before
        last = chunk[-1]
        await _issue_chunk(runtime, chunk, report)
        told(len(chunk))


async def _issue_chunk(runtime: Runtime, chunk: Sequence[Due], report: CloseReport) -> None:
    now = await runtime.now()
    try:
        issued, held = await _issue(runtime, [due.id for due in chunk], now)
    except Exception as error:
        log.info("a chunk of %s invoices failed (%s); each is tried alone", len(chunk), error)
        for due in chunk:
            await _issue_apart(runtime, due.id, now, report)
        return
    report.issued += issued
    report.held += held


async def _issue_apart(
    runtime: Runtime, invoice_id: InvoiceId, now: datetime, report: CloseReport
) -> None:
    try:
        issued, held = await _issue(runtime, [invoice_id], now)
    except Exception as error:
        log.exception("invoice %s could not be issued; it is tried again", invoice_id)
        message = f"{type(error).__name__}: {error}"[:500]
        report.failed.append(Failure(invoice_id, message))
        async with runtime.sessions.begin() as session:
            await hold_failed(session, invoice_id, message, now)
        return
    report.issued += issued
    report.held += held


async def _issue(
    runtime: Runtime, invoice_ids: Sequence[InvoiceId], now: datetime
) -> tuple[int, int]:
    """All or none of them, from one snapshot: how many were issued, and how many are held."""
    async with runtime.sessions.begin() as session:
        await settle_invoices(session, invoice_ids)
        await session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
        outcomes = [await _close(session, one, now) for one in invoice_ids]
    return outcomes.count(True), outcomes.count(False)


async def settle_invoices(session: AsyncSession, invoice_ids: Sequence[InvoiceId]) -> None:
    """Fold what belongs to these, before the snapshot is taken and beside this session."""
    async with AsyncSession(session.bind) as beside:
        org_ids = await beside.scalars(
            select(Invoice.org_id).where(Invoice.id.in_(invoice_ids)).distinct()
        )
        found = org_ids.all()
    await settle_usage(session, *found)


async def close_invoice(session: AsyncSession, invoice_id: InvoiceId, now: datetime) -> bool:
    """Freeze one CLOSING invoice from one snapshot; False when it is held, or another has it.

    `session` must be fresh. A closer that loses a race may also see a serialization failure, which
    rolls everything back: the sweep comes again.
    """
    await settle_invoices(session, [invoice_id])
    await session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
    return await _close(session, invoice_id, now) is True


async def _close(session: AsyncSession, invoice_id: InvoiceId, now: datetime) -> bool | None:
    """True: issued. False: held. None: another closer has it, or had it."""
    invoice = await session.scalar(
        select(Invoice)
        .where(Invoice.id == invoice_id, Invoice.status == InvoiceStatus.CLOSING)
        .with_for_update(skip_locked=True)
    )
    return None if invoice is None else await freeze(session, invoice, now)


async def freeze(session: AsyncSession, invoice: Invoice, now: datetime) -> bool:
    """Issue a locked CLOSING invoice unless something speaks against it; answers whether it is."""
    org = await session.get_one(Organization, invoice.org_id)
    charges = await charges_for(session, org, invoice.period, Basis(now))
    causes = await causes_against(session, org, invoice, charges)
    if await review(session, invoice, causes, now):
        return False
    await issue_charges(session, invoice, charges, now)
    return True
