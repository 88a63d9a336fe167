"""Which periods have ended, and which of their invoices are due: rows, never a stored list."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from billing.ids import InvoiceId, new_id
from billing.models import Invoice, InvoiceHold, InvoiceKind, InvoiceStatus, Organization
from billing.rules.periods import ended_periods, period_after

GRACE = timedelta(hours=24)
"""How long an ended period waits for usage that is late."""

CHUNK_SIZE = 200
"""Organizations in one transaction: few commits, and little to do again where one fails."""


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
        await begin_periods(session, org, now)
    return len(organizations)


async def begin_periods(session: AsyncSession, org: Organization, now: datetime) -> None:
    """CLOSING rows for every ended period of one organization, whose row must be locked.

    After it was closed there is nothing to invoice, so its periods pass without a row.
    """
    since = org.open_period_end - timedelta(microseconds=1)
    for period in ended_periods(since, now, org.anchor_day):
        if org.closed_at is None or period.start < org.closed_at:
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
    """A CLOSING invoice whose grace is over, and that nothing holds just now."""

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
            ~select(InvoiceHold.id)
            .where(
                InvoiceHold.invoice_id == Invoice.id,
                InvoiceHold.released_at.is_(None),
                InvoiceHold.next_check_at > now,
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


@dataclass(frozen=True, slots=True)
class CloseProgress:
    """How far closing is: periods in their grace, due, held, and issued in the last day."""

    in_grace: int
    due: int
    held: int
    issued_today: int


async def close_progress(session: AsyncSession, now: datetime) -> CloseProgress:
    """Counted from the rows themselves, so a run that was cut off shows where it stands."""
    closing = Invoice.status == InvoiceStatus.CLOSING
    is_held = (
        select(InvoiceHold.id)
        .where(InvoiceHold.invoice_id == Invoice.id, InvoiceHold.released_at.is_(None))
        .exists()
    )
    in_grace = func.count().filter(Invoice.closes_at > now)
    held = func.count().filter(Invoice.closes_at <= now, is_held)
    due = func.count().filter(Invoice.closes_at <= now, ~is_held)
    row = (await session.execute(select(in_grace, due, held).where(closing))).one()
    issued = await session.scalar(
        select(func.count())
        .select_from(Invoice)
        .where(Invoice.issued_at > now - timedelta(days=1), Invoice.kind == InvoiceKind.PERIOD)
    )
    return CloseProgress(*row, issued_today=issued or 0)
