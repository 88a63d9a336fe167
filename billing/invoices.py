"""Invoices as a noun: issuing, reading, and how far they are in Stripe."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from types import MappingProxyType

from sqlalchemy import ColumnElement, func, or_, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload, selectinload

from billing.errors import NotFound
from billing.ids import InvoiceId, OrgId, PriceVersionId
from billing.models import (
    Invoice,
    InvoiceLine,
    InvoiceStatus,
    InvoiceSync,
    Organization,
    SyncState,
)
from billing.rules.invoicing import Draft, Settlement
from billing.rules.lines import DraftLine, LineKind, corrected_number, quantity_of
from billing.rules.money import Currency, Money
from billing.rules.periods import Period
from billing.rules.quantities import plain
from billing.rules.rating import Step, StepKind

PAGE_SIZE_MAX = 100
SYNC_DELAY_SHOWN = timedelta(minutes=2)
"""How long an invoice may wait for Stripe before people are told that sending is delayed."""


@dataclass(frozen=True, slots=True)
class SyncHealth:
    """How sending invoices is going, for the banner and for staff."""

    waiting: int
    oldest_waiting_since: datetime | None
    held: int
    failed: int
    is_delayed: bool


async def issue(
    session: AsyncSession,
    invoice: Invoice,
    draft: Draft,
    version_ids: Mapping[str, PriceVersionId],
    now: datetime,
    *,
    corrected: Mapping[str, InvoiceId] = MappingProxyType({}),
) -> None:
    """Freeze a CLOSING invoice: its lines, total, digest and number, and queue it for Stripe.

    `corrected` are the ids of the invoices that its true-ups name by number. The number is the
    organization's next, taken under its row lock in this transaction, so there are no gaps. A
    total of zero is settled at once and never pushed.
    """
    assert invoice.status is InvoiceStatus.CLOSING, invoice.status
    for position, line in enumerate(draft.lines):
        row = _stored_line(invoice, position, line, version_ids)
        row.corrects_id = corrected[line.corrects] if line.corrects else None
        session.add(row)
    await session.flush()
    nothing_due = draft.total.minor == 0
    invoice.total_minor = draft.total.minor
    invoice.digest = draft.digest
    invoice.number = await _next_number(session, invoice.org_id)
    invoice.issued_at = now
    invoice.status = InvoiceStatus.PAID if nothing_due else InvoiceStatus.OPEN
    invoice.settled_by = Settlement.NOTHING_DUE if nothing_due else None
    invoice.paid_at = now if nothing_due else None
    session.add(
        InvoiceSync(
            invoice_id=invoice.id,
            state=SyncState.NOT_NEEDED if nothing_due else SyncState.PENDING,
            next_attempt_at=now,
        )
    )
    await session.flush()


def _stored_line(
    invoice: Invoice, position: int, line: DraftLine, version_ids: Mapping[str, PriceVersionId]
) -> InvoiceLine:
    return InvoiceLine(
        invoice_id=invoice.id,
        position=position,
        kind=line.kind,
        key=line.key,
        price_version_id=version_ids.get(line.key),
        segment=line.segment,
        description=line.description,
        product=line.product,
        span_start=line.span.start,
        span_end=line.span.end,
        quantity=None if line.quantity is None else Decimal(plain(line.quantity)),
        unit=line.unit,
        exact_minor=line.exact_minor,
        amount_minor=line.amount.minor,
        reduced_minor=line.reduced_minor,
        granted_minor=line.granted_minor,
        steps=[_stored_step(step) for step in line.steps],
    )


def _stored_step(step: Step) -> dict[str, str | int | None]:
    return {
        "kind": step.kind,
        "quantity": str(step.quantity),
        "unit_amount": plain(step.unit_amount),
        "exact_minor": str(step.exact_minor),
        "up_to": None if step.up_to is None else plain(step.up_to),
        "of": step.of,
    }


def draft_line_of(line: InvoiceLine, currency: Currency) -> DraftLine:
    """A stored line as the value it was rated to, to be shown like an estimate's."""
    return DraftLine(
        kind=line.kind,
        key=line.key,
        description=line.description,
        span=Period(line.span_start, line.span_end),
        amount=Money(line.amount_minor, currency),
        exact_minor=line.exact_minor,
        segment=line.segment,
        quantity=quantity_of(line.quantity),
        unit=line.unit,
        steps=steps_of(line),
        product=line.product,
        reduced_minor=line.reduced_minor,
        granted_minor=line.granted_minor,
        corrects=corrected_number(line.key) if line.kind is LineKind.TRUE_UP else None,
    )


def steps_of(line: InvoiceLine) -> tuple[Step, ...]:
    """A stored line's arithmetic, exactly as it was rated."""
    return tuple(
        Step(
            kind=StepKind(step["kind"]),
            quantity=Fraction(step["quantity"]),
            unit_amount=Decimal(step["unit_amount"]),
            exact_minor=Fraction(step["exact_minor"]),
            up_to=None if step["up_to"] is None else Decimal(step["up_to"]),
            of=step["of"],
        )
        for step in line.steps
    )


async def _next_number(session: AsyncSession, org_id: OrgId) -> str:
    prefix, sequence = (
        await session.execute(
            update(Organization)
            .where(Organization.id == org_id)
            .values(invoice_sequence=Organization.invoice_sequence + 1)
            .returning(Organization.invoice_prefix, Organization.invoice_sequence)
            .execution_options(synchronize_session=False)
        )
    ).one()
    return f"{prefix}-{sequence:04d}"


async def invoices_for_org(
    session: AsyncSession,
    org_id: OrgId,
    *,
    limit: int,
    before: tuple[datetime, InvoiceId] | None = None,
    statuses: Collection[InvoiceStatus] | None = None,
) -> Sequence[Invoice]:
    """Newest first, with their sync. `before` is (period_start, id) of the last one shown."""
    statement = (
        select(Invoice)
        .where(Invoice.org_id == org_id)
        .order_by(Invoice.period_start.desc(), Invoice.id.desc())
        .limit(min(limit, PAGE_SIZE_MAX + 1))
        .options(joinedload(Invoice.sync))
    )
    if before is not None:
        statement = statement.where(tuple_(Invoice.period_start, Invoice.id) < before)
    if statuses is not None:
        statement = statement.where(Invoice.status.in_(statuses))
    return (await session.scalars(statement)).all()


async def get_invoice(session: AsyncSession, org_id: OrgId, invoice_id: InvoiceId) -> Invoice:
    """One invoice with lines and sync. Raises `NotFound`, also for another organization's."""
    return await _one(session, org_id, Invoice.id == invoice_id)


async def get_invoice_by_number(
    session: AsyncSession, org_id: OrgId, number: str, *, with_lines: bool = True
) -> Invoice:
    """One invoice with sync and lines. Raises `NotFound`, also for another organization's."""
    return await _one(session, org_id, Invoice.number == number, with_lines=with_lines)


async def find_invoice_id(session: AsyncSession, number: str) -> InvoiceId:
    """Whichever organization's: for staff. Raises `NotFound`."""
    found = await session.scalar(select(Invoice.id).where(Invoice.number == number))
    if found is None:
        raise NotFound(f"There is no invoice {number!r}.", code="INVOICE_NOT_FOUND")
    return found


async def _one(
    session: AsyncSession,
    org_id: OrgId,
    condition: ColumnElement[bool],
    *,
    with_lines: bool = True,
) -> Invoice:
    statement = (
        select(Invoice)
        .where(Invoice.org_id == org_id, condition)
        .options(selectinload(Invoice.sync))
    )
    if with_lines:
        statement = statement.options(selectinload(Invoice.lines))
    invoice = await session.scalar(statement)
    if invoice is None:
        raise NotFound("There is no such invoice.", code="INVOICE_NOT_FOUND")
    return invoice


async def lines_by_invoice(
    session: AsyncSession, invoice_ids: Sequence[InvoiceId]
) -> dict[InvoiceId, list[InvoiceLine]]:
    """The lines of several invoices in one query, each in order; empty lists for none."""
    found: dict[InvoiceId, list[InvoiceLine]] = {invoice_id: [] for invoice_id in invoice_ids}
    rows = await session.scalars(
        select(InvoiceLine)
        .where(InvoiceLine.invoice_id.in_(invoice_ids))
        .order_by(InvoiceLine.invoice_id, InvoiceLine.position)
    )
    for line in rows:
        found[line.invoice_id].append(line)
    return found


async def sync_health(session: AsyncSession, now: datetime) -> SyncHealth:
    """Counts over all organizations, of invoices that are issued and not in Stripe yet.

    `waiting` are sent by themselves, at the next attempt or a later one; `failed` (Stripe refused
    them) and `held` (what Stripe has is not what we sent) wait for a person. Delayed: a waiting one
    has failed an attempt, or waits for `SYNC_DELAY_SHOWN`; those for a person do not count.
    """
    states = InvoiceSync.state
    waiting = states.in_((SyncState.PENDING, SyncState.PUSHING))
    row = (
        await session.execute(
            select(
                func.count().filter(waiting).label("waiting"),
                func.min(Invoice.issued_at).filter(waiting).label("oldest"),
                func.count().filter(waiting, InvoiceSync.error_code.is_not(None)).label("failing"),
                func.count().filter(states == SyncState.HELD).label("held"),
                func.count().filter(states == SyncState.FAILED).label("failed"),
            )
            .select_from(InvoiceSync)
            .join(Invoice, Invoice.id == InvoiceSync.invoice_id)
            .where(states.not_in((SyncState.PUSHED, SyncState.NOT_NEEDED)))
        )
    ).one()
    is_old = row.oldest is not None and now - row.oldest >= SYNC_DELAY_SHOWN
    is_delayed = is_old or row.failing > 0
    return SyncHealth(row.waiting, row.oldest, row.held, row.failed, is_delayed)


async def stuck_invoices(
    session: AsyncSession, now: datetime, *, limit: int
) -> Sequence[tuple[Organization, Invoice]]:
    """Those whose sending was refused, held, is tried again or is late, the longest first."""
    rows = await session.execute(
        select(Organization, Invoice)
        .join(Organization, Organization.id == Invoice.org_id)
        .join(InvoiceSync, InvoiceSync.invoice_id == Invoice.id)
        .where(
            InvoiceSync.state.not_in((SyncState.PUSHED, SyncState.NOT_NEEDED)),
            or_(
                InvoiceSync.error_code.is_not(None),
                Invoice.issued_at <= now - SYNC_DELAY_SHOWN,
            ),
        )
        .order_by(Invoice.issued_at, Invoice.id)
        .limit(min(limit, PAGE_SIZE_MAX))
        .options(selectinload(Invoice.sync))
    )
    return [(org, invoice) for org, invoice in rows]
