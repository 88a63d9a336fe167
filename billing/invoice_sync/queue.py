"""One push, and what becomes of it: done, later, or stopped for a person."""

import logging
import secrets
from contextlib import suppress
from datetime import datetime, timedelta

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from billing.audit import record_act
from billing.errors import BillingError, Conflict, NotFound, Unavailable
from billing.ids import InvoiceId, StripeCustomerId
from billing.invoice_sync.payload import payload_sha256, push_payload
from billing.invoice_sync.push import KEY_AGE_MAX, Mismatch, Overtaken, Push, push
from billing.models import Invoice, InvoiceSync, Organization, SyncState, SyncStep
from billing.runtime import Runtime
from billing.stripe_limits import Paced
from billing.stripe_protocol import Customer, StripeInvoice

log = logging.getLogger(__name__)

BACKOFF_FIRST = timedelta(seconds=2)
BACKOFF_DOUBLINGS_MAX = 8
_LOST_ANSWERS_MAX = 2


async def push_invoice(runtime: Runtime, invoice_id: InvoiceId, claim: int) -> bool:
    """Bring one leased invoice as far as Stripe lets us. What goes wrong is kept, not raised.

    So one that trips over a fault of ours waits alone: nobody else's push ends with it. False when
    it was not our turn at Stripe: then it is nobody's who comes after it either.
    """
    now = await runtime.now()
    try:
        work = await _start(runtime, invoice_id, claim, now)
        await _finish(work, await push(work))
    except Overtaken:
        log.warning("invoice %s: another worker has it now", invoice_id)
    except Unavailable as error:
        await _postpone(runtime, invoice_id, claim, error)
        return not isinstance(error, Paced)
    except BillingError as error:
        await _stop(runtime, invoice_id, claim, error)
    except Exception:
        log.exception("invoice %s waits: a fault of ours", invoice_id)
        await _postpone(
            runtime, invoice_id, claim, Unavailable("A fault of ours.", code="INTERNAL")
        )
    return True


async def _start(runtime: Runtime, invoice_id: InvoiceId, claim: int, now: datetime) -> Push:
    async with runtime.sessions.begin() as session:
        invoice, sync, org = await _loaded(session, invoice_id)
        payload = push_payload(invoice, sync.revision, _page_url(runtime, org, invoice))
        digest = payload_sha256(payload)
        if sync.payload_sha256 not in {None, digest}:
            raise Mismatch("What we owe Stripe of this invoice is not what we sent before.")
        doubt = is_in_doubt(sync, payload.issued_at, now)
        sync.payload_sha256 = digest
        sync.keyed_at = sync.keyed_at or now
    return Push(
        runtime=runtime,
        org_id=org.id,
        invoice=payload,
        customer=org.stripe_customer_id or await _customer(runtime, org, sync, doubt),
        claim=claim,
        step=sync.step,
        stripe_id=sync.stripe_invoice_id,
        key_attempt=sync.key_attempt,
        keyed_at=sync.keyed_at,
        is_in_doubt=doubt,
        now=now,
    )


def _page_url(runtime: Runtime, org: Organization, invoice: Invoice) -> str:
    return f"{runtime.settings.base_url}/orgs/{org.slug}/billing/invoices/{invoice.number}"


def is_in_doubt(sync: InvoiceSync, issued_at: datetime, now: datetime) -> bool:
    """Stripe may have forgotten the keys, or may replay a saved refusal under them for ever.

    An invoice that is old and yet never pushed may come from a restored backup: look, too.
    """
    return sync.is_in_doubt or now - (sync.keyed_at or issued_at) > KEY_AGE_MAX


async def _loaded(
    session: AsyncSession, invoice_id: InvoiceId
) -> tuple[Invoice, InvoiceSync, Organization]:
    found = await session.execute(
        select(Invoice, InvoiceSync, Organization)
        .join(InvoiceSync, InvoiceSync.invoice_id == Invoice.id)
        .join(Organization, Organization.id == Invoice.org_id)
        .where(Invoice.id == invoice_id)
        .options(selectinload(Invoice.lines))
    )
    invoice, sync, org = found.one()
    return invoice, sync, org


async def _customer(
    runtime: Runtime, org: Organization, sync: InvoiceSync, doubt: bool
) -> StripeCustomerId:
    """Created once for each organization; in doubt looked for first, and asked for anew."""
    wanted = Customer(organization_id=str(org.id), name=org.name, email=org.billing_email)
    key, found = f"cus-{org.id}", None
    if doubt:
        found = await runtime.stripe.find_customer(wanted)
        key = f"{key}-a{sync.attempts}"
    created = found or await runtime.stripe.create_customer(wanted, key)
    async with runtime.sessions.begin() as session:
        locked = await session.get_one(Organization, org.id, with_for_update=True)
        locked.stripe_customer_id = locked.stripe_customer_id or created
        return locked.stripe_customer_id


async def _finish(work: Push, issued: StripeInvoice) -> None:
    """Raises `Overtaken`. What a webhook has told us meanwhile is newer than what we know."""
    async with work.runtime.sessions.begin() as session:
        written = await session.scalar(
            update(InvoiceSync)
            .where(InvoiceSync.invoice_id == work.invoice.id, InvoiceSync.claim == work.claim)
            .values(
                state=SyncState.PUSHED,
                step=SyncStep.FINALIZED,
                pushed_at=work.now,
                error_code=None,
                error_message=None,
                hosted_invoice_url=issued.hosted_invoice_url,
                stripe_status=func.coalesce(InvoiceSync.stripe_status, issued.status),
            )
            .returning(InvoiceSync.invoice_id)
            .execution_options(synchronize_session=False)
        )
    if written is None:
        raise Overtaken
    await work.runtime.nudges.moved([work.org_id])


async def _held(session: AsyncSession, invoice_id: InvoiceId, claim: int) -> InvoiceSync:
    """The row, locked, if the lease is still ours. Raises `Overtaken`."""
    sync = await session.get_one(InvoiceSync, invoice_id, with_for_update=True)
    if sync.claim != claim:
        raise Overtaken
    return sync


async def _postpone(
    runtime: Runtime, invoice_id: InvoiceId, claim: int, error: Unavailable
) -> None:
    """Try again later. Being limited is nobody's fault and costs no attempt."""
    log.warning("invoice %s waits: %s: %s", invoice_id, error.code, error)
    now = await runtime.now()
    with suppress(Overtaken):
        async with runtime.sessions.begin() as session:
            sync = await _held(session, invoice_id, claim)
            sync.state = SyncState.PENDING
            pause = error.retry_after if error.is_rate_limit else backoff(sync.attempts)
            sync.attempts += not error.is_rate_limit
            failed_twice = error.code == "STRIPE_DOWN" and sync.attempts >= _LOST_ANSWERS_MAX
            sync.is_in_doubt |= failed_twice or error.code == "STRIPE_KEY_REUSED"
            sync.next_attempt_at = now + jittered(pause)
            sync.error_code, sync.error_message = error.code, str(error)


async def _stop(runtime: Runtime, invoice_id: InvoiceId, claim: int, error: BillingError) -> None:
    """Trying the same again cannot help: a person has to look."""
    log.error("invoice %s stopped: %s: %s", invoice_id, error.code, error)
    with suppress(Overtaken):
        async with runtime.sessions.begin() as session:
            sync = await _held(session, invoice_id, claim)
            sync.state = SyncState.HELD if isinstance(error, Mismatch) else SyncState.FAILED
            sync.is_in_doubt = True
            sync.error_code, sync.error_message = error.code, str(error)


async def retry_push(session: AsyncSession, number: str, *, actor: str, now: datetime) -> None:
    """Queue an invoice again that was HELD or FAILED, its cause being mended.

    Raises `NotFound`, or `Conflict` when it was not stopped.
    """
    invoice = await session.scalar(select(Invoice).where(Invoice.number == number))
    if invoice is None:
        raise NotFound(f"There is no invoice {number!r}.", code="INVOICE_NOT_FOUND")
    sync = await session.get_one(InvoiceSync, invoice.id, with_for_update=True)
    if sync.state not in {SyncState.HELD, SyncState.FAILED}:
        raise Conflict(f"{number} is {sync.state}: only a stopped one is tried again.")
    await record_act(
        session,
        actor=actor,
        action="push.retried",
        subject=number,
        org_id=invoice.org_id,
        details={"was": sync.state, "error_code": sync.error_code},
        now=now,
    )
    sync.state = SyncState.PENDING
    sync.next_attempt_at = now
    sync.error_code = sync.error_message = None


def backoff(attempts: int) -> timedelta:
    """2 s, doubled with every failed attempt, up to about 9 minutes."""
    doublings = min(attempts, BACKOFF_DOUBLINGS_MAX)
    return BACKOFF_FIRST * (1 << doublings)


def jittered(pause: timedelta) -> timedelta:
    """Half to whole, at random: those that failed together do not come back together."""
    return pause * (0.5 + secrets.randbelow(1000) / 2000)
