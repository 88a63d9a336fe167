"""Closing: an ended period becomes one invoice, once, by the same function as its estimate."""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from billing.audit import record_act
from billing.charges import charges_for
from billing.errors import BillingError, Conflict
from billing.ids import InvoiceId, new_id
from billing.invoices import issue
from billing.models import Invoice, InvoiceKind, InvoiceStatus, OneOffItem, Organization
from billing.rules.periods import ended_periods, period_after
from billing.runtime import Runtime

log = logging.getLogger(__name__)

GRACE = timedelta(hours=24)
"""How long an ended period waits for usage that is late."""

CHUNK_SIZE = 200


class PeriodNotEnded(Conflict):
    """The period is still open."""

    code = "PERIOD_NOT_ENDED"


class PeriodAlreadyClosed(Conflict):
    """The period has its invoice."""

    code = "PERIOD_ALREADY_CLOSED"


class EarlierPeriodOpen(Conflict):
    """An earlier period has to be closed first: amounts carry from one to the next."""

    code = "EARLIER_PERIOD_OPEN"


async def close_due(runtime: Runtime) -> int:
    """Begin closing what has ended, issue what has waited long enough; answers how many issued.

    One organization that fails is logged and left for the next sweep; it stops nobody else's.
    """
    while await _begin_chunk(runtime):
        pass
    issued = 0
    while chunk := await _issue_chunk(runtime):
        issued += chunk
    return issued


async def _begin_chunk(runtime: Runtime) -> int:
    now = await runtime.now()
    async with runtime.sessions.begin() as session:
        return await begin_closing(session, now)


async def _issue_chunk(runtime: Runtime) -> int:
    now = await runtime.now()
    async with runtime.sessions() as session:
        due = await due_invoice_ids(session, now)
    return sum([await _issue_apart(runtime, invoice_id) for invoice_id in due])


async def _issue_apart(runtime: Runtime, invoice_id: InvoiceId) -> bool:
    now = await runtime.now()
    try:
        async with runtime.sessions.begin() as session:
            return await close_invoice(session, invoice_id, now)
    except (SQLAlchemyError, BillingError, AssertionError):
        log.exception("invoice %s could not be issued; the next sweep tries again", invoice_id)
        return False


async def begin_closing(session: AsyncSession, now: datetime) -> int:
    """Give ended periods their CLOSING row, for up to `CHUNK_SIZE` organizations.

    Answers how many organizations were taken: call again until it is zero. Two at once share the
    work, for each skips the rows that the other has locked.
    """
    ended = await session.scalars(
        select(Organization)
        .where(Organization.open_period_end <= now)
        .order_by(Organization.open_period_end)
        .limit(CHUNK_SIZE)
        .with_for_update(skip_locked=True)
    )
    organizations = ended.all()
    for org in organizations:
        await _begin(session, org, now)
    return len(organizations)


async def _begin(session: AsyncSession, org: Organization, now: datetime) -> None:
    since = org.open_period_end - timedelta(microseconds=1)
    for period in ended_periods(since, now, org.anchor_day):
        await session.execute(
            insert(Invoice)
            .values(
                id=new_id(),
                org_id=org.id,
                kind=InvoiceKind.PERIOD,
                status=InvoiceStatus.CLOSING,
                period_start=period.start,
                period_end=period.end,
                closes_at=period.end + GRACE,
                currency=org.currency,
                recorded_at=now,
            )
            .on_conflict_do_nothing()
        )
        org.open_period_end = period_after(period, org.anchor_day).end
    await session.flush()


async def due_invoice_ids(session: AsyncSession, now: datetime) -> Sequence[InvoiceId]:
    """CLOSING invoices whose grace is over, each organization's earliest only."""
    earlier = aliased(Invoice)
    rows = await session.scalars(
        select(Invoice.id)
        .where(
            Invoice.status == InvoiceStatus.CLOSING,
            Invoice.closes_at <= now,
            ~select(earlier.id)
            .where(
                earlier.org_id == Invoice.org_id,
                earlier.status == InvoiceStatus.CLOSING,
                earlier.period_start < Invoice.period_start,
            )
            .exists(),
        )
        .order_by(Invoice.closes_at, Invoice.id)
        .limit(CHUNK_SIZE)
    )
    return rows.all()


async def close_invoice(session: AsyncSession, invoice_id: InvoiceId, now: datetime) -> bool:
    """Freeze one CLOSING invoice from one snapshot; False when another closer has it or had it.

    `session` must be fresh. A closer that loses a race may also see a serialization failure, which
    rolls everything back: the sweep comes again.
    """
    await session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
    invoice = await session.scalar(
        select(Invoice)
        .where(Invoice.id == invoice_id, Invoice.status == InvoiceStatus.CLOSING)
        .with_for_update(skip_locked=True)
    )
    if invoice is None:
        return False
    await _freeze(session, invoice, now)
    return True


async def _freeze(session: AsyncSession, invoice: Invoice, now: datetime) -> None:
    org = await session.get_one(Organization, invoice.org_id)
    charges = await charges_for(session, org, invoice.period)
    await session.execute(
        update(OneOffItem).where(OneOffItem.id.in_(charges.one_offs)).values(invoice_id=invoice.id)
    )
    await issue(session, invoice, charges.draft, charges.version_ids, now)


async def close_period_now(
    session: AsyncSession, org: Organization, period_end: datetime, *, actor: str, now: datetime
) -> Invoice:
    """Staff waive what is left of the grace window of an ended period. `session` must be fresh.

    Raises `PeriodNotEnded`, `PeriodAlreadyClosed`, or `EarlierPeriodOpen`.
    """
    if period_end > now:
        raise PeriodNotEnded(
            f"The period ends at {period_end:%Y-%m-%d %H:%M} UTC.", field="periodEnd"
        )
    await session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
    locked = await session.get_one(Organization, org.id, with_for_update=True)
    await _begin(session, locked, now)
    invoice = await session.scalar(
        select(Invoice)
        .where(
            Invoice.org_id == org.id,
            Invoice.kind == InvoiceKind.PERIOD,
            Invoice.status == InvoiceStatus.CLOSING,
            Invoice.period_end <= period_end,
        )
        .order_by(Invoice.period_start)
        .limit(1)
        .with_for_update()
    )
    if invoice is None:
        raise PeriodAlreadyClosed("No period that ended by then is waiting to be closed.")
    if invoice.period_end != period_end:
        raise EarlierPeriodOpen(f"Close the period {invoice.period} first.", field="periodEnd")
    await _freeze(session, invoice, now)
    await record_act(
        session,
        actor=actor,
        action="period.closed",
        subject=str(invoice.number),
        org_id=org.id,
        details={"period": str(invoice.period), "total_minor": invoice.total_minor},
        now=now,
    )
    return invoice
