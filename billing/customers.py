"""Telling Stripe that an organization's name or billing address changed.

Stripe prints both on invoices and mails. A change is noted in its own transaction; whoever sweeps
sends what the organization is called by then, so changes that come together are one call.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from billing.errors import BillingError, Unavailable
from billing.ids import OrgId, StripeCustomerId
from billing.invoice_sync import LEASE, backoff, jittered
from billing.models import CustomerUpdate, Organization
from billing.runtime import Runtime
from billing.stripe_protocol import Customer

log = logging.getLogger(__name__)

BATCH_SIZE = 10
BUDGET_SECONDS = 120
REFUSED_PAUSE = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class _Due:
    """One organization as it is now, and which of its changes that answers."""

    id: StripeCustomerId
    customer: Customer
    revision: int
    attempts: int


async def push_customers_due(runtime: Runtime) -> int:
    """Tell Stripe of every change that is due; answers how many were tried."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + BUDGET_SECONDS
    tried = 0
    while loop.time() < deadline and (claimed := await _claim(runtime)):
        tried += len(claimed)
        await asyncio.gather(*(_push(runtime, org_id) for org_id in claimed))
    return tried


async def _claim(runtime: Runtime) -> Sequence[OrgId]:
    """Only those that Stripe knows: of the others it hears when their first invoice is pushed."""
    now = await runtime.now()
    due = (
        select(CustomerUpdate.org_id)
        .join(Organization, Organization.id == CustomerUpdate.org_id)
        .where(
            CustomerUpdate.revision > CustomerUpdate.pushed_revision,
            CustomerUpdate.next_attempt_at <= now,
            Organization.stripe_customer_id.is_not(None),
        )
        .order_by(CustomerUpdate.next_attempt_at)
        .limit(BATCH_SIZE)
        .with_for_update(skip_locked=True, of=CustomerUpdate)
        .cte("due")  # runs once: as a subquery it may run again for each row
    )
    async with runtime.sessions.begin() as session:
        claimed = await session.scalars(
            update(CustomerUpdate)
            .where(CustomerUpdate.org_id == due.c.org_id)
            .values(next_attempt_at=now + LEASE)
            .returning(CustomerUpdate.org_id)
            .execution_options(synchronize_session=False)
        )
        return claimed.all()


async def _push(runtime: Runtime, org_id: OrgId) -> None:
    """What goes wrong is kept, not raised: nobody else waits for it."""
    due = await _loaded(runtime, org_id)
    now = await runtime.now()
    key = f"cus-{org_id}-u{due.revision}-a{due.attempts}"
    try:
        await runtime.stripe.update_customer(due.id, due.customer, key)
    except Unavailable as error:
        pause = error.retry_after if error.is_rate_limit else backoff(due.attempts)
        await _keep_error(runtime, org_id, error, now + jittered(pause))
    except BillingError as error:  # refused: again tomorrow, or with the next change
        log.warning("customer of %s is not updated: %s: %s", org_id, error.code, error)
        await _keep_error(runtime, org_id, error, now + REFUSED_PAUSE)
    else:
        await _finish(runtime, org_id, due.revision, now)


async def _loaded(runtime: Runtime, org_id: OrgId) -> _Due:
    async with runtime.sessions() as session:
        wanted = await session.get_one(CustomerUpdate, org_id)
        org = await session.get_one(Organization, org_id)
    assert org.stripe_customer_id is not None, org.slug
    customer = Customer(organization_id=str(org.id), name=org.name, email=org.billing_email)
    return _Due(org.stripe_customer_id, customer, wanted.revision, wanted.attempts)


async def _finish(runtime: Runtime, org_id: OrgId, revision: int, now: datetime) -> None:
    """A change that came meanwhile stays due."""
    async with runtime.sessions.begin() as session:
        held = await session.get_one(CustomerUpdate, org_id, with_for_update=True)
        held.pushed_revision = max(held.pushed_revision, revision)
        held.attempts = 0
        held.next_attempt_at = now
        held.error_code = held.error_message = None


async def _keep_error(
    runtime: Runtime, org_id: OrgId, error: BillingError, next_attempt_at: datetime
) -> None:
    is_limited = isinstance(error, Unavailable) and error.is_rate_limit
    async with runtime.sessions.begin() as session:
        held = await session.get_one(CustomerUpdate, org_id, with_for_update=True)
        held.attempts += not is_limited
        held.next_attempt_at = next_attempt_at
        held.error_code, held.error_message = error.code, str(error)


async def stuck_customers(
    session: AsyncSession, *, limit: int
) -> Sequence[tuple[Organization, CustomerUpdate]]:
    """Those of whose change Stripe could not be told at the last attempt: for staff."""
    rows = await session.execute(
        select(Organization, CustomerUpdate)
        .join(Organization, Organization.id == CustomerUpdate.org_id)
        .where(
            CustomerUpdate.revision > CustomerUpdate.pushed_revision,
            CustomerUpdate.error_code.is_not(None),
        )
        .order_by(Organization.slug)
        .limit(limit)
    )
    return [(org, wanted) for org, wanted in rows]
