"""Proof: an issued invoice computed again from every single event, by nothing it was made from.

Estimates and invoices read hourly buckets; this reads the events themselves. It finds what no
comparison of two sums of the same buckets could: a bucket that is wrong, a line that is not what
its usage comes to, a correction that was never billed.
"""

import logging
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from billing.charges import (
    Basis,
    Charges,
    charges_for,
    first_fees,
    outstanding_corrections,
    start_cause,
)
from billing.ids import InvoiceId
from billing.invoices import draft_line_of
from billing.models import (
    Invoice,
    InvoiceCheck,
    InvoiceKind,
    InvoiceStatus,
    LateUsage,
    Organization,
)
from billing.rules.lines import DraftLine
from billing.rules.periods import Period, utc_day
from billing.rules.quantities import plain
from billing.runtime import Runtime
from billing.subscriptions import subscriptions_in
from billing.usage import settle_usage
from billing.usage.attached import MonthArchived

log = logging.getLogger(__name__)

CHUNK_SIZE = 50

CHECKED_FOR = timedelta(days=34)
"""How long after its issue an invoice is checked by itself; later its events may be archived."""

_LINES_TOLD_MAX = 5


@dataclass(frozen=True, slots=True)
class Verified:
    """What computing an invoice again came to. `message` says what differs, or that nothing does.

    `digest` is that of the computation; equal to the invoice's when they are the same. `is_same` is
    None, and the digest empty, where events that are needed are in an archived month.
    """

    invoice_id: InvoiceId
    number: str
    is_same: bool | None
    digest: str
    message: str


async def verify_invoice(session: AsyncSession, invoice_id: InvoiceId) -> Verified:
    """Compute one issued invoice again. `session` must be fresh.

    An event may have been recorded at the very instant of issue, before or after it: either is
    the same. Usage that has come since is no difference, once it is billed or about to be.
    """
    await _settle(session, invoice_id)
    await session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
    invoice, org = await _loaded(session, invoice_id)
    try:
        return await _verified(session, org, invoice)
    except MonthArchived as error:
        return Verified(invoice.id, str(invoice.number), None, "", str(error))


async def _verified(session: AsyncSession, org: Organization, invoice: Invoice) -> Verified:
    """By its digest, which says what it was issued as, and by its lines, which say what it is."""
    stored = [draft_line_of(line, invoice.currency) for line in invoice.lines]
    for is_included in (True, False):
        basis = Basis.of_invoice(invoice, is_known_at_included=is_included)
        charges = await _again(session, org, invoice, basis)
        if charges is not None and _is_same(invoice, stored, charges):
            return await _with_corrections(session, org, invoice)
    lines = charges.draft.lines if charges is not None else ()
    digest = charges.draft.digest if charges is not None else ""
    message = "; ".join(_differences(stored, lines)) or "The digest or the total differs."
    return Verified(invoice.id, str(invoice.number), False, digest, message)


def _is_same(invoice: Invoice, stored: Sequence[DraftLine], charges: Charges) -> bool:
    draft = charges.draft
    heads = (draft.digest, draft.total.minor) == (invoice.digest, invoice.total_minor)
    return heads and not _differences(stored, draft.lines)


async def _settle(session: AsyncSession, invoice_id: InvoiceId) -> None:
    """Before the snapshot is taken, in a session beside this one."""
    async with AsyncSession(session.bind) as beside:
        org_id = await beside.scalar(select(Invoice.org_id).where(Invoice.id == invoice_id))
    if org_id is not None:
        await settle_usage(session, org_id)


async def _loaded(session: AsyncSession, invoice_id: InvoiceId) -> tuple[Invoice, Organization]:
    invoice = await session.scalar(
        select(Invoice)
        .where(Invoice.id == invoice_id, Invoice.status != InvoiceStatus.CLOSING)
        .options(selectinload(Invoice.lines))
        .execution_options(populate_existing=True)
    )
    assert invoice is not None, "issued, and issued invoices stay"
    return invoice, await session.get_one(Organization, invoice.org_id)


async def _again(
    session: AsyncSession, org: Organization, invoice: Invoice, basis: Basis
) -> Charges | None:
    if invoice.kind is InvoiceKind.PERIOD:
        return await charges_for(session, org, invoice.period, basis)
    started = await subscriptions_in(session, org.id, invoice.period, known_at=basis.known_at)
    for subscription in started:
        if start_cause(subscription.id) == invoice.cause:
            return await first_fees(session, org, subscription, basis)
    return None


async def _with_corrections(session: AsyncSession, org: Organization, invoice: Invoice) -> Verified:
    """It is as it was; is what has come since on another invoice, or noted for the next one?"""
    same = Verified(
        invoice.id, str(invoice.number), True, str(invoice.digest), "The same, from its events."
    )
    if invoice.kind is not InvoiceKind.PERIOD or invoice.status is InvoiceStatus.VOID:
        return same
    if await _is_noted(session, org, invoice):
        return same
    basis = Basis(invoice.period_end, reads_events=True)
    missing = await outstanding_corrections(session, org, invoice, basis)
    if not missing:
        return same
    told = ", ".join(f"{line.description} {line.amount.major:f}" for line in missing)
    message = f"Usage has changed since and nothing bills it: {told}"
    return Verified(invoice.id, same.number, False, same.digest, message)


async def _is_noted(session: AsyncSession, org: Organization, invoice: Invoice) -> bool:
    note = select(LateUsage.id).where(
        LateUsage.org_id == org.id, LateUsage.day < utc_day(invoice.period_end)
    )
    return await session.scalar(note.limit(1)) is not None


def _differences(stored: Sequence[DraftLine], again: Sequence[DraftLine]) -> list[str]:
    ours = {(line.kind, line.key, line.segment): line for line in stored}
    theirs = {(line.kind, line.key, line.segment): line for line in again}
    told = []
    for key in dict.fromkeys([*ours, *theirs]):
        one, other = ours.get(key), theirs.get(key)
        if _facts(one) != _facts(other):
            told.append(f"{key[1]}: invoiced {_words(one)}, from events {_words(other)}")
    return told[:_LINES_TOLD_MAX]


def _facts(line: DraftLine | None) -> tuple[object, ...]:
    if line is None:
        return (None,)
    return (line.amount, plain(line.quantity or 0), line.reduced_minor, line.granted_minor)


def _words(line: DraftLine | None) -> str:
    if line is None or (not line.amount.minor and not line.quantity):
        return "nothing"
    counted = "" if line.quantity is None else f" for {plain(line.quantity)} {line.unit or ''}"
    return f"{line.amount.major:f}{counted.rstrip()}"


async def issued_in(session: AsyncSession, span: Period) -> Sequence[InvoiceId]:
    """Every issued invoice whose period starts in `span`, by organization."""
    rows = await session.scalars(
        select(Invoice.id)
        .where(
            Invoice.status != InvoiceStatus.CLOSING,
            Invoice.period_start >= span.start,
            Invoice.period_start < span.end,
        )
        .order_by(Invoice.org_id, Invoice.period_start, Invoice.id)
    )
    return rows.all()


async def verify_all(runtime: Runtime, invoice_ids: Sequence[InvoiceId]) -> AsyncIterator[Verified]:
    """One after the other, each in a snapshot of its own, each result kept for the metrics."""
    for invoice_id in invoice_ids:
        async with runtime.sessions() as session:
            found = await verify_invoice(session, invoice_id)
        await _keep(runtime, found, await runtime.now())
        yield found


async def verify_unchecked(runtime: Runtime) -> int:
    """Check what was issued and not checked yet, the latest first; answers how many there were."""
    now = await runtime.now()
    async with runtime.sessions() as session:
        rows = await session.scalars(
            select(Invoice.id)
            .outerjoin(InvoiceCheck, InvoiceCheck.invoice_id == Invoice.id)
            .where(Invoice.issued_at > now - CHECKED_FOR, InvoiceCheck.invoice_id.is_(None))
            .order_by(Invoice.issued_at.desc())
            .limit(CHUNK_SIZE)
        )
        invoice_ids = rows.all()
    checked = 0
    async for found in verify_all(runtime, invoice_ids):
        checked += 1
        if found.is_same is None:
            log.warning("invoice %s cannot be checked: %s", found.number, found.message)
        elif not found.is_same:
            log.error("invoice %s is not what its events come to: %s", found.number, found.message)
    return checked


async def checks_counted(session: AsyncSession) -> dict[bool, int]:
    """How many invoices were the same when computed again (True), and how many were not."""
    rows = await session.execute(
        select(InvoiceCheck.is_same, func.count())
        .where(InvoiceCheck.is_same.is_not(None))
        .group_by(InvoiceCheck.is_same)
    )
    return {True: 0, False: 0} | {bool(row[0]): row[1] for row in rows}


async def _keep(runtime: Runtime, found: Verified, now: datetime) -> None:
    values = {
        "is_same": found.is_same,
        "digest": found.digest,
        "message": found.message,
        "checked_at": now,
    }
    async with runtime.sessions.begin() as session:
        await session.execute(
            insert(InvoiceCheck)
            .values(invoice_id=found.invoice_id, **values)
            .on_conflict_do_update(index_elements=["invoice_id"], set_=values)
        )
