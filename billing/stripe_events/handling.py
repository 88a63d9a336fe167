"""Handling what is in the inbox. A payload is never trusted, only its id.

Events come twice, late and in any order, and carry whole seconds. So the handler fetches the
invoice and writes what it finds: any order and repetition ends in the same state.
"""

import asyncio
import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select, update

from billing.errors import BillingError, Conflict, Unavailable
from billing.ids import InvoiceId, StripeInvoiceId
from billing.models import Invoice, InvoiceStatus, InvoiceSync, Outcome, StripeEvent
from billing.runtime import Runtime
from billing.stripe_events.applying import apply_stripe_state

log = logging.getLogger(__name__)

BATCH_SIZE = 20
LEASE = timedelta(minutes=5)
BUDGET_SECONDS = 120
"""How long one sweep goes on: well under a job's time, and the next one comes soon."""

RETRY_AFTER = timedelta(seconds=10)
ATTEMPTS_MAX = 30
"""For an invoice that we do not know yet: its webhook can come before our own commit."""


class AnotherCarriesOurId(Conflict):
    """Two Stripe invoices name one of ours: only the one that we made may speak for it."""

    code = "STRIPE_DUPLICATE"


async def handle_due(runtime: Runtime) -> int:
    """Handle the events that are due, with one fetch for all that are about the same invoice.

    Answers how many events were tried.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + BUDGET_SECONDS
    tried = 0
    while loop.time() < deadline and (claimed := await _claim(runtime)):
        tried += len(claimed)
        for about, events in _by_invoice(claimed).items():
            await _handle(runtime, about, events)
    return tried


def _by_invoice(events: Sequence[StripeEvent]) -> dict[str | None, list[StripeEvent]]:
    grouped: dict[str | None, list[StripeEvent]] = {}
    for event in events:
        about = event.object_id if event.type.startswith("invoice.") else None
        grouped.setdefault(about, []).append(event)
    return grouped


async def _claim(runtime: Runtime) -> Sequence[StripeEvent]:
    now = await runtime.now()
    due = (
        select(StripeEvent.id)
        .where(StripeEvent.handled_at.is_(None), StripeEvent.next_attempt_at <= now)
        .order_by(StripeEvent.next_attempt_at)
        .limit(BATCH_SIZE)
        .with_for_update(skip_locked=True)
    )
    async with runtime.sessions.begin() as session:
        claimed = await session.scalars(
            update(StripeEvent)
            .where(StripeEvent.id.in_(due))
            .values(next_attempt_at=now + LEASE, attempts=StripeEvent.attempts + 1)
            .returning(StripeEvent)
            .execution_options(synchronize_session=False)
        )
        return claimed.all()


async def _handle(runtime: Runtime, about: str | None, events: Sequence[StripeEvent]) -> None:
    now = await runtime.now()
    if about is None:
        await _settle(runtime, events, Outcome.IGNORED, "not about an invoice", now)
        return
    try:
        outcome, reason = await _refresh(runtime, StripeInvoiceId(about), now)
    except Unavailable as error:
        await _retry(runtime, events, f"{error.code}: {error}", now + error.retry_after)
    except BillingError as error:
        await _settle(runtime, events, Outcome.FAILED, f"{error.code}: {error}", now)
    else:
        is_early = max(event.attempts for event in events) < ATTEMPTS_MAX
        if outcome is Outcome.FAILED and is_early:
            await _retry(runtime, events, reason, now + RETRY_AFTER)
        else:
            await _settle(runtime, events, outcome, reason, now)


async def _refresh(
    runtime: Runtime, stripe_id: StripeInvoiceId, now: datetime
) -> tuple[Outcome, str]:
    """Fetch one invoice from Stripe and write what it says.

    A ticket is taken before the fetch, and a fetch is written only if none with a later ticket has
    been: that one began after this event, so it knows at least as much. No lock is held meanwhile.
    """
    invoice_id = await _known_as(runtime, stripe_id)
    if invoice_id is None:
        found = await runtime.stripe.fetch_invoice(stripe_id)
        if found is None or found.invoice_id is None:
            return Outcome.IGNORED, "not an invoice of ours"
        invoice_id = await _adopted(runtime, found.invoice_id, stripe_id)
    if invoice_id is None:
        return Outcome.FAILED, "carries an id of ours that we do not have"
    ticket = await _ticket(runtime, invoice_id)
    found = await runtime.stripe.fetch_invoice(stripe_id)
    if found is None:
        return await _gone(runtime, invoice_id)
    async with runtime.sessions.begin() as session:
        org_id = await apply_stripe_state(session, invoice_id, found, ticket, now)
    await runtime.nudges.moved([org_id])
    return Outcome.PROCESSED, f"fetched: {found.status}"


async def _gone(runtime: Runtime, invoice_id: InvoiceId) -> tuple[Outcome, str]:
    async with runtime.sessions() as session:
        invoice = await session.get_one(Invoice, invoice_id)
    if invoice.status is InvoiceStatus.VOID:
        return Outcome.PROCESSED, "its draft was deleted, for it is void"
    return Outcome.FAILED, "Stripe no longer holds this invoice"


async def _known_as(runtime: Runtime, stripe_id: StripeInvoiceId) -> InvoiceId | None:
    async with runtime.sessions() as session:
        return await session.scalar(
            select(InvoiceSync.invoice_id).where(InvoiceSync.stripe_invoice_id == stripe_id)
        )


async def _adopted(runtime: Runtime, claimed: str, stripe_id: StripeInvoiceId) -> InvoiceId | None:
    """The invoice that Stripe's metadata names, when a webhook was faster than our own commit.

    Raises `AnotherCarriesOurId` when ours is known to be another one: a copy made by hand, say.
    """
    try:
        invoice_id = InvoiceId(UUID(claimed))
    except ValueError:
        return None
    async with runtime.sessions() as session:
        sync = await session.get(InvoiceSync, invoice_id)
    if sync is None:
        return None
    if sync.stripe_invoice_id not in {None, stripe_id}:
        raise AnotherCarriesOurId(f"{stripe_id} carries the id of {sync.stripe_invoice_id}.")
    return invoice_id


async def _ticket(runtime: Runtime, invoice_id: InvoiceId) -> int:
    async with runtime.sessions.begin() as session:
        ticket = await session.scalar(
            update(InvoiceSync)
            .where(InvoiceSync.invoice_id == invoice_id)
            .values(fetch_tickets=InvoiceSync.fetch_tickets + 1)
            .returning(InvoiceSync.fetch_tickets)
            .execution_options(synchronize_session=False)
        )
    assert ticket is not None, invoice_id
    return ticket


async def _settle(
    runtime: Runtime, events: Sequence[StripeEvent], outcome: Outcome, reason: str, now: datetime
) -> None:
    await _update(runtime, events, handled_at=now, outcome=outcome, reason=reason)


async def _retry(
    runtime: Runtime, events: Sequence[StripeEvent], reason: str, at: datetime
) -> None:
    await _update(runtime, events, next_attempt_at=at, reason=reason)


async def _update(runtime: Runtime, events: Sequence[StripeEvent], **values: object) -> None:
    async with runtime.sessions.begin() as session:
        await session.execute(
            update(StripeEvent)
            .where(StripeEvent.id.in_([event.id for event in events]))
            .values(**values)
            .execution_options(synchronize_session=False)
        )
