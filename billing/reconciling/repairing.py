"""Mending what is safe to mend, one difference at a time, each looked at again right before.

Nothing here moves money: an invoice is queued for the push, which looks before it creates; Stripe's
word is fetched and applied, as after a webhook; a surplus draft, which nobody can pay, is deleted.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from billing.audit import record_act
from billing.errors import BillingError, Unavailable
from billing.ids import InvoiceId, StripeInvoiceId
from billing.models import (
    Drift,
    Invoice,
    InvoiceStatus,
    InvoiceSync,
    Outcome,
    ReconciliationRun,
    SyncState,
)
from billing.rules.drift import SAFE, Repair
from billing.runtime import Runtime
from billing.stripe_events import refresh

REPAIRS_PER_RUN_MAX = 20
"""More than that is no drift but an accident, and a person's business."""

_DRAFT = "draft"


@dataclass(frozen=True, slots=True)
class Mended:
    """What became of one difference, and how often Stripe was asked."""

    is_repaired: bool
    calls: int
    result: str


async def repair_next(runtime: Runtime, run: ReconciliationRun) -> Mended | None:
    """Mend the next difference of a run that is safe to mend; None when there is none left.

    Raises `Unavailable`, and then nothing was done. Any other refusal is kept with the difference.
    """
    async with runtime.sessions() as session:
        drift = await _next(session, run)
    if drift is None:
        return None
    now = await runtime.now()
    try:
        mended = await _mended(runtime, drift, now)
    except Unavailable:
        raise
    except BillingError as error:
        mended = Mended(False, 1, f"{error.code}: {error}")
    async with runtime.sessions.begin() as session:
        await _keep(session, run, drift, mended, now)
    return mended


async def _next(session: AsyncSession, run: ReconciliationRun) -> Drift | None:
    if run.repaired >= REPAIRS_PER_RUN_MAX:
        return None
    return await session.scalar(
        select(Drift)
        .where(Drift.run_id == run.id, Drift.repair.in_(SAFE), Drift.result.is_(None))
        .order_by(Drift.kind, Drift.id)
        .limit(1)
    )


async def _mended(runtime: Runtime, drift: Drift, now: datetime) -> Mended:
    assert drift.invoice_id is not None, drift.id
    match drift.repair:
        case Repair.PUSH:
            return await _push_again(runtime, drift, drift.invoice_id, now)
        case Repair.DELETE_DRAFT:
            return await _delete_draft(runtime, drift, drift.invoice_id)
        case _:
            return await _refetch(runtime, _stripe_id(drift), now)


def _stripe_id(drift: Drift) -> StripeInvoiceId:
    assert drift.stripe_invoice_id is not None, drift.id
    return drift.stripe_invoice_id


async def _refetch(runtime: Runtime, stripe_id: StripeInvoiceId, now: datetime) -> Mended:
    outcome, reason = await refresh(runtime, stripe_id, now)
    return Mended(outcome is Outcome.PROCESSED, 1, reason)


async def _push_again(
    runtime: Runtime, drift: Drift, invoice_id: InvoiceId, now: datetime
) -> Mended:
    """What a push left undone is taken up by the push itself, which is in doubt and so looks first.

    What was pushed and is gone is looked for once more: a list may have been read as it changed.
    """
    calls = 0
    async with runtime.sessions() as session:
        sync = await session.get_one(InvoiceSync, invoice_id)
    if sync.state in {SyncState.HELD, SyncState.FAILED}:
        return Mended(False, calls, "it stopped for a person meanwhile")
    if sync.state is SyncState.PUSHED and sync.stripe_invoice_id is not None:
        calls = 1
        found = await runtime.stripe.fetch_invoice(sync.stripe_invoice_id)
        if found is not None and found.status != _DRAFT:
            return Mended(True, calls, f"Stripe has it after all: {found.status}")
    async with runtime.sessions.begin() as session:
        is_queued = await _queue(session, invoice_id, sync, now)
    if not is_queued:
        return Mended(False, calls, "it has moved meanwhile")
    await runtime.nudges.enqueue("push_invoices")
    return Mended(True, calls, "queued to be pushed: it looks before it creates")


async def _queue(
    session: AsyncSession, invoice_id: InvoiceId, seen: InvoiceSync, now: datetime
) -> bool:
    sync = await session.get_one(InvoiceSync, invoice_id, with_for_update=True)
    invoice = await session.get_one(Invoice, invoice_id, with_for_update=True)
    is_same = (sync.state, sync.claim) == (seen.state, seen.claim)
    if not is_same or invoice.status is not InvoiceStatus.OPEN:
        return False
    if sync.state is SyncState.PUSHING and sync.next_attempt_at > now:
        return False
    sync.state = SyncState.PENDING
    sync.is_in_doubt = True
    sync.next_attempt_at = now
    return True


async def _delete_draft(runtime: Runtime, drift: Drift, invoice_id: InvoiceId) -> Mended:
    """Only a draft that claims to be an invoice of ours which another one has long stood for."""
    stripe_id = _stripe_id(drift)
    async with runtime.sessions() as session:
        sync = await session.get_one(InvoiceSync, invoice_id)
    if sync.state is not SyncState.PUSHED or sync.stripe_invoice_id in {None, stripe_id}:
        return Mended(False, 0, "ours is not settled in Stripe: a push may have made it just now")
    found = await runtime.stripe.fetch_invoice(stripe_id)
    if found is None:
        return Mended(True, 1, "it was gone already")
    if found.status != _DRAFT or found.invoice_id != str(invoice_id):
        return Mended(False, 1, f"it is {found.status} now: a person must look")
    await runtime.stripe.delete_draft(stripe_id)
    return Mended(True, 2, "the surplus draft was deleted")


async def _keep(
    session: AsyncSession, run: ReconciliationRun, drift: Drift, mended: Mended, now: datetime
) -> None:
    held = await session.get_one(Drift, drift.id, with_for_update=True)
    held.result = mended.result
    held.repaired_at = now if mended.is_repaired else None
    about = drift.number or drift.stripe_invoice_id or str(drift.id)
    await record_act(
        session,
        actor=run.actor,
        action="reconciliation.repaired" if mended.is_repaired else "reconciliation.left",
        subject=about,
        org_id=drift.org_id,
        details={
            "key": f"recon-{run.id}-{drift.invoice_id}-{drift.repair}",
            "kind": drift.kind,
            "stripe_invoice_id": drift.stripe_invoice_id,
            "result": mended.result,
        },
        now=now,
    )
