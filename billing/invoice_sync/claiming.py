"""Who pushes what: leases in Postgres, so that neither an invoice nor a customer is written twice.

Stripe answers `lock_timeout` when two requests touch one customer at once, and two workers that
push one invoice waste each other's calls.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, func, or_, select, tuple_, update
from sqlalchemy.orm import aliased

from billing.ids import InvoiceId
from billing.models import Invoice, InvoiceSync, SyncState
from billing.runtime import Runtime

LEASE = timedelta(minutes=5)
"""How long one worker has an invoice to itself: longer than its calls usually take together."""

WAITING = (SyncState.PENDING, SyncState.PUSHING)

_ONE_CLAIM_AT_A_TIME = 0x5075_7368
"""An advisory lock, held for milliseconds: two claims at once could not see each other's rows, and
would both take an invoice of one customer."""

Claim = tuple[InvoiceId, int]
"""A leased invoice, and the number of its lease: only the latest may write."""


async def claim_due(runtime: Runtime, count: int) -> Sequence[Claim]:
    """Lease invoices that Stripe lacks, the longest due first, and one of each customer.

    Nobody else gets them while the lease lasts, and whoever claims one later stops us from writing.
    """
    now = await runtime.now()
    due = (
        select(InvoiceSync.invoice_id)
        .join(Invoice, Invoice.id == InvoiceSync.invoice_id)
        .where(
            InvoiceSync.state.in_(WAITING),
            InvoiceSync.next_attempt_at <= now,
            ~_has_another_before_it(now),
        )
        .order_by(InvoiceSync.next_attempt_at, InvoiceSync.invoice_id)
        .limit(count)
        .with_for_update(skip_locked=True, of=InvoiceSync)
        .cte("due")  # runs once: as a subquery it may run again for each row
    )
    async with runtime.sessions.begin() as session:
        await session.execute(select(func.pg_advisory_xact_lock(_ONE_CLAIM_AT_A_TIME)))
        claimed = await session.execute(
            update(InvoiceSync)
            .where(InvoiceSync.invoice_id == due.c.invoice_id)
            .values(
                state=SyncState.PUSHING, next_attempt_at=now + LEASE, claim=InvoiceSync.claim + 1
            )
            .returning(InvoiceSync.invoice_id, InvoiceSync.claim)
            .execution_options(synchronize_session=False)
        )
        return [(row.invoice_id, row.claim) for row in claimed]


def _has_another_before_it(now: datetime) -> ColumnElement[bool]:
    """Whether the customer has an invoice that is being pushed, or one that is due earlier."""
    other, of_same = aliased(InvoiceSync), aliased(Invoice)
    is_leased = and_(other.state == SyncState.PUSHING, other.next_attempt_at > now)
    is_before = tuple_(other.next_attempt_at, other.invoice_id) < tuple_(
        InvoiceSync.next_attempt_at, InvoiceSync.invoice_id
    )
    is_due = and_(other.state.in_(WAITING), other.next_attempt_at <= now, is_before)
    return (
        select(other.invoice_id)
        .join(of_same, of_same.id == other.invoice_id)
        .where(of_same.org_id == Invoice.org_id, or_(is_leased, is_due))
        .correlate(Invoice, InvoiceSync)
        .exists()
    )


async def release(runtime: Runtime, claims: Sequence[Claim]) -> None:
    """Give back leases on what was not begun: it is due at once, for whoever comes."""
    if not claims:
        return
    now = await runtime.now()
    async with runtime.sessions.begin() as session:
        await session.execute(
            update(InvoiceSync)
            .where(
                tuple_(InvoiceSync.invoice_id, InvoiceSync.claim).in_(claims),
                InvoiceSync.state == SyncState.PUSHING,
            )
            .values(state=SyncState.PENDING, next_attempt_at=now)
            .execution_options(synchronize_session=False)
        )
