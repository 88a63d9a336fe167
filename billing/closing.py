"""Closing: an ended period becomes one invoice, once, by the same function as its estimate."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from billing.audit import record_act
from billing.charges import charges_for
from billing.errors import Conflict
from billing.ids import InvoiceId, new_id
from billing.invoices import issue
from billing.models import Invoice, InvoiceKind, InvoiceStatus, OneOffItem, Organization
from billing.rules.periods import ended_periods, period_after
from billing.rules.quantities import plain
from billing.runtime import Runtime
from billing.usage import settle_usage

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


class ChangedMeanwhile(Conflict):
    """Somebody changed what was being closed: nothing has happened, and trying again helps."""

    code = "CHANGED_MEANWHILE"


_SERIALIZATION_FAILURE = "40001"


async def close_due(runtime: Runtime) -> int:
    """Begin closing what has ended, issue what has waited long enough; answers how many issued.

    One organization that fails is logged and left for the next sweep; it stops nobody else's.
    """
    while await _begin_chunk(runtime):
        pass
    issued = 0
    while once := await _issue_all(runtime):  # again: an issued period makes the next one due
        issued += once
    return issued


async def _begin_chunk(runtime: Runtime) -> int:
    now = await runtime.now()
    async with runtime.sessions.begin() as session:
        return await begin_closing(session, now)


async def _issue_all(runtime: Runtime) -> int:
    """Once through everything that is due, past those that fail."""
    now = await runtime.now()
    issued, last = 0, None
    while True:
        async with runtime.sessions() as session:
            chunk = await due_invoices(session, now, after=last)
        if not chunk:
            return issued
        last = chunk[-1]
        issued += sum([await _issue_apart(runtime, due.id) for due in chunk])


async def _issue_apart(runtime: Runtime, invoice_id: InvoiceId) -> bool:
    now = await runtime.now()
    try:
        async with runtime.sessions.begin() as session:
            return await close_invoice(session, invoice_id, now)
    except Exception:
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


@dataclass(frozen=True, slots=True)
class Due:
    """A CLOSING invoice whose grace is over."""

    closes_at: datetime
    id: InvoiceId


async def due_invoices(
    session: AsyncSession, now: datetime, *, after: Due | None = None
) -> Sequence[Due]:
    """Up to `CHUNK_SIZE`, each organization's earliest only; `after` is the last one seen."""
    earlier = aliased(Invoice)
    statement = (
        select(Invoice.closes_at, Invoice.id)
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
    if after is not None:
        statement = statement.where(
            tuple_(Invoice.closes_at, Invoice.id) > (after.closes_at, after.id)
        )
    return [Due(row.closes_at, row.id) for row in await session.execute(statement)]


async def close_invoice(session: AsyncSession, invoice_id: InvoiceId, now: datetime) -> bool:
    """Freeze one CLOSING invoice from one snapshot; False when another closer has it or had it.

    `session` must be fresh. A closer that loses a race may also see a serialization failure, which
    rolls everything back: the sweep comes again.
    """
    await _settle(session, invoice_id)
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


async def _settle(session: AsyncSession, invoice_id: InvoiceId) -> None:
    """Before the snapshot is taken, in a session beside this one."""
    async with AsyncSession(session.bind) as beside:
        org_id = await beside.scalar(select(Invoice.org_id).where(Invoice.id == invoice_id))
    if org_id:
        await settle_usage(session, org_id)


async def _freeze(session: AsyncSession, invoice: Invoice, now: datetime) -> None:
    org = await session.get_one(Organization, invoice.org_id)
    charges = await charges_for(session, org, invoice.period)
    for unpriced in charges.unpriced:  # on no line: staff have to know
        log.warning(
            "%s, %s: %s %s of %s have no price and are not billed",
            org.key,
            invoice.period,
            plain(unpriced.quantity),
            unpriced.unit,
            unpriced.meter,
        )
    await session.execute(
        update(OneOffItem).where(OneOffItem.id.in_(charges.one_offs)).values(invoice_id=invoice.id)
    )
    await issue(session, invoice, charges.draft, charges.version_ids, now)


async def close_period_now(
    session: AsyncSession, org: Organization, period_end: datetime, *, actor: str, now: datetime
) -> Invoice:
    """Staff waive what is left of the grace window of an ended period. `session` must be fresh.

    Raises `PeriodNotEnded`, `PeriodAlreadyClosed`, `EarlierPeriodOpen`, or `ChangedMeanwhile`.
    """
    if period_end > now:
        raise PeriodNotEnded(
            f"The period ends at {period_end:%Y-%m-%d %H:%M} UTC.", field="periodEnd"
        )
    await settle_usage(session, org.id)
    await session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
    try:
        invoice = await _closing_to(session, org, period_end, now)
        await _freeze(session, invoice, now)
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) == _SERIALIZATION_FAILURE:
            raise ChangedMeanwhile("The organization changed meanwhile: try again.") from None
        raise
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


async def _closing_to(
    session: AsyncSession, org: Organization, period_end: datetime, now: datetime
) -> Invoice:
    locked = await session.get_one(
        Organization, org.id, with_for_update=True, populate_existing=True
    )
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
    return invoice
