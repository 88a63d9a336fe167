"""Holds: why a CLOSING invoice waits although its grace is over. They stop nobody else's."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from billing.audit import record_act
from billing.errors import Conflict, Invalid, NotFound
from billing.ids import InvoiceId
from billing.models import HoldReason, Invoice, InvoiceHold, InvoiceStatus, Organization
from billing.models.base import Json

log = logging.getLogger(__name__)

RECHECK = timedelta(minutes=5)
"""How long a held invoice rests before its cause is looked at again."""

NOTE_CHARACTERS_MAX = 500
SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class Cause:
    """What speaks against issuing now: in words, in figures, and until when at most."""

    message: str
    details: Json = field(default_factory=dict)
    deadline: datetime | None = None


async def review(
    session: AsyncSession, invoice: Invoice, causes: Mapping[HoldReason, Cause], now: datetime
) -> bool:
    """Hold the invoice for these causes, and for no other; answers whether it has to wait.

    What staff have released stays released, and what is past its deadline is told and let go.
    """
    rows = {row.reason: row for row in await holds_of(session, invoice.id)}
    for reason, row in rows.items():
        if row.released_at is None and reason not in causes:
            _release(row, SYSTEM, "Its cause is gone.", now)
    waits = [
        _hold(session, invoice, reason, cause, rows.get(reason), now)
        for reason, cause in causes.items()
    ]
    return any(waits)


def _hold(
    session: AsyncSession,
    invoice: Invoice,
    reason: HoldReason,
    cause: Cause,
    row: InvoiceHold | None,
    now: datetime,
) -> bool:
    if row is not None and row.released_by not in {None, SYSTEM}:
        return False
    if cause.deadline is not None and cause.deadline <= now:
        if row is None or row.released_at is None:
            log.warning("invoice %s goes out although: %s", invoice.id, cause.message)
        if row is not None and row.released_at is None:
            _release(row, SYSTEM, "Its deadline has passed.", now)
        return False
    if row is None:
        row = InvoiceHold(invoice_id=invoice.id, reason=reason, recorded_at=now)
        session.add(row)
        log.warning("invoice %s is held, %s: %s", invoice.id, reason, cause.message)
    row.message, row.details, row.deadline = cause.message, cause.details, cause.deadline
    row.next_check_at = now + RECHECK
    row.released_at = row.released_by = row.note = None
    return True


def _release(row: InvoiceHold, actor: str, note: str, now: datetime) -> None:
    row.released_at, row.released_by, row.note = now, actor, note


async def hold_failed(
    session: AsyncSession, invoice_id: InvoiceId, message: str, now: datetime
) -> None:
    """Remember that closing failed by a fault of ours, so that staff see it; it is tried again."""
    invoice = await session.scalar(
        select(Invoice).where(Invoice.id == invoice_id).with_for_update(skip_locked=True)
    )
    if invoice is None or invoice.status is not InvoiceStatus.CLOSING:
        return
    rows = {row.reason: row for row in await holds_of(session, invoice_id)}
    row = rows.get(HoldReason.FAILED)
    _hold(session, invoice, HoldReason.FAILED, Cause(message), row, now)


async def holds_of(session: AsyncSession, invoice_id: InvoiceId) -> Sequence[InvoiceHold]:
    """Every hold of one invoice, released ones too, in the order they came."""
    rows = await session.scalars(
        select(InvoiceHold)
        .where(InvoiceHold.invoice_id == invoice_id)
        .order_by(InvoiceHold.recorded_at, InvoiceHold.reason)
    )
    return rows.all()


async def holds_by_invoice(
    session: AsyncSession, invoice_ids: Sequence[InvoiceId]
) -> dict[InvoiceId, list[InvoiceHold]]:
    """Of several invoices in one query, each as `holds_of` has them; empty lists for none."""
    found: dict[InvoiceId, list[InvoiceHold]] = {id_: [] for id_ in invoice_ids}
    rows = await session.scalars(
        select(InvoiceHold)
        .where(InvoiceHold.invoice_id.in_(invoice_ids))
        .order_by(InvoiceHold.recorded_at, InvoiceHold.reason)
    )
    for row in rows:
        found[row.invoice_id].append(row)
    return found


async def open_holds(
    session: AsyncSession, *, limit: int
) -> Sequence[tuple[Organization, Invoice, InvoiceHold]]:
    """What waits for a person or a source, over all organizations, the longest first."""
    rows = await session.execute(
        select(Organization, Invoice, InvoiceHold)
        .join(Invoice, Invoice.id == InvoiceHold.invoice_id)
        .join(Organization, Organization.id == Invoice.org_id)
        .where(InvoiceHold.released_at.is_(None), Invoice.status == InvoiceStatus.CLOSING)
        .order_by(InvoiceHold.recorded_at, InvoiceHold.id)
        .limit(limit)
    )
    return [(org, invoice, hold) for org, invoice, hold in rows]


async def release_hold(
    session: AsyncSession,
    org: Organization,
    reason: HoldReason,
    *,
    note: str,
    actor: str,
    now: datetime,
) -> InvoiceHold:
    """Staff let an organization's held invoice go out in spite of one reason, for good.

    Raises `NotFound` when nothing is held for it, `Invalid` without a note, `Conflict` for FAILED.
    """
    if not note.strip() or len(note) > NOTE_CHARACTERS_MAX:
        raise Invalid(
            f"Say why, in 1 to {NOTE_CHARACTERS_MAX} characters.", code="INVALID_NOTE", field="note"
        )
    if reason is HoldReason.FAILED:
        raise Conflict(
            "A failed close is tried again by itself: mend its cause.", code="HOLD_NOT_RELEASABLE"
        )
    row = await session.scalar(
        select(InvoiceHold)
        .join(Invoice, Invoice.id == InvoiceHold.invoice_id)
        .where(
            Invoice.org_id == org.id,
            Invoice.status == InvoiceStatus.CLOSING,
            InvoiceHold.reason == reason,
            InvoiceHold.released_at.is_(None),
        )
        .order_by(Invoice.period_start)
        .limit(1)
        .with_for_update(of=InvoiceHold)
    )
    if row is None:
        raise NotFound(
            f"No invoice of {org.slug} is held for {reason}.", code="HOLD_NOT_FOUND", field="reason"
        )
    _release(row, actor, note.strip(), now)
    await record_act(
        session,
        actor=actor,
        action="hold.released",
        subject=reason,
        org_id=org.id,
        details={"invoice": str(row.invoice_id), "message": row.message, "note": note.strip()},
        now=now,
    )
    return row
