"""Whether Stripe still sends us webhooks: it may turn an endpoint off, and then tells nobody here.

Nothing is lost by that, for the hourly back-fill reads what did not come; but all comes late.
"""

import logging
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from billing.errors import BillingError
from billing.models import WebhookEndpointCheck
from billing.runtime import Runtime
from billing.stripe_limits import Lane, in_lane

log = logging.getLogger(__name__)

PATH = "/webhooks/stripe"
ENABLED = "enabled"
EVERY = timedelta(hours=1)
LEASE = timedelta(minutes=5)
TOLD_FOR = timedelta(hours=6)
"""How long an answer is worth telling; nobody knows after that, and we say so."""

_ONLY = 1


async def check_endpoint_due(runtime: Runtime) -> None:
    """Ask once an hour; what Stripe does not tell us stays as it was, and grows old."""
    now = await runtime.now()
    url = runtime.settings.base_url + PATH
    async with runtime.sessions.begin() as session:
        is_due = await _lease(session, url, now)
    if not is_due:
        return
    try:
        with in_lane(Lane.REFETCH):
            status = await runtime.stripe.webhook_endpoint_status(url)
    except BillingError as error:  # a restricted key may not be allowed to ask
        log.warning("the webhook endpoint was not looked at: %s: %s", error.code, error)
        return
    if status != ENABLED:
        log.warning("the webhook endpoint %s is %s at Stripe", url, status or "not known")
    async with runtime.sessions.begin() as session:
        check = await session.get_one(WebhookEndpointCheck, _ONLY, with_for_update=True)
        check.url, check.status, check.checked_at = url, status, now
        check.next_attempt_at = now + EVERY


async def _lease(session: AsyncSession, url: str, now: datetime) -> bool:
    await session.execute(
        insert(WebhookEndpointCheck)
        .values(id=_ONLY, url=url, status=None, checked_at=None, next_attempt_at=now)
        .on_conflict_do_nothing()
    )
    check = await session.scalar(
        select(WebhookEndpointCheck)
        .where(WebhookEndpointCheck.id == _ONLY, WebhookEndpointCheck.next_attempt_at <= now)
        .with_for_update(skip_locked=True)
    )
    if check is not None:
        check.next_attempt_at = now + LEASE
    return check is not None


async def find_endpoint(session: AsyncSession, now: datetime) -> WebhookEndpointCheck | None:
    """What Stripe last said of our endpoint; None while nobody knows, or not for hours."""
    return await session.scalar(
        select(WebhookEndpointCheck).where(
            WebhookEndpointCheck.id == _ONLY, WebhookEndpointCheck.checked_at > now - TOLD_FOR
        )
    )
