"""Forgetting events that were acted upon long ago: Stripe itself lists them for 30 days only."""

from datetime import datetime, timedelta

from sqlalchemy import delete, select

from billing.models import StripeEvent
from billing.runtime import Runtime

KEPT_FOR = timedelta(days=90)
AT_ONCE = 5000
"""In one transaction: webhooks that come meanwhile do not wait for it."""


async def prune_events(runtime: Runtime) -> int:
    """Drop what was handled over 90 days ago; answers how many.

    What waits stays, however old. By then Stripe lists it no more, so no back-fill brings it back.
    """
    before = await runtime.now() - KEPT_FOR
    dropped = 0
    while count := await _prune_some(runtime, before):
        dropped += count
    return dropped


async def _prune_some(runtime: Runtime, before: datetime) -> int:
    """The received come before the handled, and have the index."""
    oldest = (
        select(StripeEvent.id)
        .where(StripeEvent.received_at < before, StripeEvent.handled_at < before)
        .order_by(StripeEvent.received_at)
        .limit(AT_ONCE)
        .with_for_update(skip_locked=True)
    )
    async with runtime.sessions.begin() as session:
        dropped = await session.execute(
            delete(StripeEvent).where(StripeEvent.id.in_(oldest)).returning(StripeEvent.id)
        )
        return len(dropped.all())
