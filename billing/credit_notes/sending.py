"""Telling Stripe of credit notes, once each, when it has their invoices.

A note is leased by its `next_attempt_at`. Its idempotency key is its own; after a failure, and when
Stripe may have forgotten the key, we look for the note before we make it again.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from billing.audit import record_act
from billing.errors import BillingError, Conflict, NotFound, Unavailable
from billing.ids import CreditNoteId, StripeCreditNoteId, StripeInvoiceId
from billing.invoice_sync import KEY_AGE_MAX, LEASE, backoff, jittered
from billing.models import (
    CreditNote,
    CreditNoteKind,
    CreditNoteState,
    Invoice,
    InvoiceSync,
    SyncState,
)
from billing.rules.invoicing import Settlement
from billing.runtime import Runtime
from billing.stripe_protocol import PushCreditNote

log = logging.getLogger(__name__)

BATCH_SIZE = 10
BUDGET_SECONDS = 120


async def push_credit_notes_due(runtime: Runtime) -> int:
    """Send what is due, some at a time; answers how many were tried."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + BUDGET_SECONDS
    tried = 0
    while loop.time() < deadline and (claimed := await _claim(runtime)):
        tried += len(claimed)
        await asyncio.gather(*(_send(runtime, note_id) for note_id in claimed))
    return tried


async def _claim(runtime: Runtime) -> Sequence[CreditNoteId]:
    """Only those whose invoice is in Stripe: the others wait for it."""
    now = await runtime.now()
    due = (
        select(CreditNote.id)
        .join(InvoiceSync, InvoiceSync.invoice_id == CreditNote.invoice_id)
        .where(
            CreditNote.state == CreditNoteState.PENDING,
            CreditNote.next_attempt_at <= now,
            InvoiceSync.state == SyncState.PUSHED,
        )
        .order_by(CreditNote.next_attempt_at)
        .limit(BATCH_SIZE)
        .with_for_update(skip_locked=True, of=CreditNote)
        .cte("due")  # runs once: as a subquery it may run again for each row
    )
    async with runtime.sessions.begin() as session:
        claimed = await session.scalars(
            update(CreditNote)
            .where(CreditNote.id == due.c.id)
            .values(next_attempt_at=now + LEASE)
            .returning(CreditNote.id)
            .execution_options(synchronize_session=False)
        )
        return claimed.all()


async def _send(runtime: Runtime, note_id: CreditNoteId) -> None:
    """What goes wrong is kept, not raised: nobody else's note waits for it."""
    now = await runtime.now()
    try:
        sent = await _sent(runtime, note_id, now)
    except Unavailable as error:
        await _postpone(runtime, note_id, error, now)
    except BillingError as error:
        await _stop(runtime, note_id, error)
    except Exception:
        log.exception("credit note %s waits: a fault of ours", note_id)
        fault = Unavailable("A fault of ours.", code="INTERNAL")
        await _postpone(runtime, note_id, fault, now)
    else:
        await _finish(runtime, note_id, sent)


async def _sent(runtime: Runtime, note_id: CreditNoteId, now: datetime) -> StripeCreditNoteId:
    async with runtime.sessions() as session:
        note = await session.get_one(CreditNote, note_id)
        sync = await session.get_one(InvoiceSync, note.invoice_id)
    assert sync.stripe_invoice_id is not None, note.number
    wanted = _wanted(note, sync.stripe_invoice_id)
    is_paid = not wanted.is_refund and await _is_paid(runtime, sync.stripe_invoice_id)
    is_in_doubt = note.attempts > 0 or now - note.recorded_at > KEY_AGE_MAX
    if is_in_doubt or is_paid:  # it may be this very note that has paid for it
        found = await runtime.stripe.find_credit_note(wanted)
        if found is not None:
            return found
    if is_paid:
        await _refund_instead(runtime, note)
        wanted = replace(wanted, is_refund=True)
    key = f"cn-{note.id}{'-refund' if wanted.is_refund else ''}"
    again = f"-a{note.attempts}" if is_in_doubt else ""
    return await runtime.stripe.create_credit_note(wanted, f"{key}{again}")


def _wanted(note: CreditNote, stripe_id: StripeInvoiceId) -> PushCreditNote:
    return PushCreditNote(
        id=note.id,
        stripe_invoice_id=stripe_id,
        number=note.number,
        amount_minor=note.amount_minor,
        reason=note.reason,
        is_refund=note.kind is CreditNoteKind.REFUND,
    )


async def _is_paid(runtime: Runtime, stripe_id: StripeInvoiceId) -> bool:
    held = await runtime.stripe.fetch_invoice(stripe_id)
    return held is not None and held.status == "paid"


async def _refund_instead(runtime: Runtime, note: CreditNote) -> None:
    """The invoice was paid before Stripe heard of its reduction: that money goes back."""
    async with runtime.sessions.begin() as session:
        invoice = await session.get_one(Invoice, note.invoice_id, with_for_update=True)
        if invoice.settled_by is Settlement.CREDIT_NOTE:
            invoice.settled_by = None
        stored = await session.get_one(CreditNote, note.id, with_for_update=True)
        stored.kind = CreditNoteKind.REFUND


async def _postpone(
    runtime: Runtime, note_id: CreditNoteId, error: Unavailable, now: datetime
) -> None:
    """Try again later. Being limited is nobody's fault and costs no attempt."""
    log.warning("credit note %s waits: %s: %s", note_id, error.code, error)
    async with runtime.sessions.begin() as session:
        note = await _pending(session, note_id)
        if note is not None:
            pause = error.retry_after if error.is_rate_limit else backoff(note.attempts)
            note.attempts += not error.is_rate_limit
            note.next_attempt_at = now + jittered(pause)
            note.error_code, note.error_message = error.code, str(error)


async def _stop(runtime: Runtime, note_id: CreditNoteId, error: BillingError) -> None:
    """Trying the same again cannot help: a person has to look."""
    log.error("credit note %s stopped: %s: %s", note_id, error.code, error)
    async with runtime.sessions.begin() as session:
        note = await _pending(session, note_id)
        if note is not None:
            note.state = CreditNoteState.FAILED
            note.attempts += 1
            note.error_code, note.error_message = error.code, str(error)


async def _finish(runtime: Runtime, note_id: CreditNoteId, sent: StripeCreditNoteId) -> None:
    async with runtime.sessions.begin() as session:
        note = await _pending(session, note_id)
        if note is not None:
            note.state = CreditNoteState.SENT
            note.stripe_credit_note_id = sent
            note.error_code = note.error_message = None


async def _pending(session: AsyncSession, note_id: CreditNoteId) -> CreditNote | None:
    """The note, locked, unless another worker has finished it, or it is needed no more."""
    note = await session.get_one(CreditNote, note_id, with_for_update=True)
    return note if note.state is CreditNoteState.PENDING else None


async def retry_credit_note(
    session: AsyncSession, number: str, *, actor: str, now: datetime
) -> None:
    """Send a credit note again that Stripe refused, the cause being mended.

    Raises `NotFound`, or `Conflict` when it was not refused.
    """
    note = await session.scalar(
        select(CreditNote).where(CreditNote.number == number).with_for_update()
    )
    if note is None:
        raise NotFound(f"There is no credit note {number!r}.", code="CREDIT_NOTE_NOT_FOUND")
    if note.state is not CreditNoteState.FAILED:
        raise Conflict(f"{number} is {note.state}: only a failed one is tried again.")
    await record_act(
        session,
        actor=actor,
        action="credit_note.retried",
        subject=number,
        org_id=note.org_id,
        details={"error_code": note.error_code},
        now=now,
    )
    note.state = CreditNoteState.PENDING
    note.next_attempt_at = now
    note.error_code = note.error_message = None
