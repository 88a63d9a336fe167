"""A customer that is gone from Stripe: kept, every invoice to come would be refused for ever."""

import logging

from sqlalchemy import select

from billing.ids import StripeCustomerId
from billing.models import Organization, Outcome
from billing.runtime import Runtime

log = logging.getLogger(__name__)


async def forget_if_deleted(runtime: Runtime, customer_id: StripeCustomerId) -> tuple[Outcome, str]:
    """Let the next push make a customer, if Stripe itself says that this one is no more.

    What was refused meanwhile is `FAILED`, and is tried again by a person. Raises `Unavailable`.
    """
    wanted = select(Organization).where(Organization.stripe_customer_id == customer_id)
    async with runtime.sessions() as session:
        known = await session.scalar(wanted)
    if known is None:
        return Outcome.IGNORED, "not a customer of ours"
    if await runtime.stripe.has_customer(customer_id):
        return Outcome.IGNORED, "the customer is there"
    async with runtime.sessions.begin() as session:
        org = await session.scalar(wanted.with_for_update())
        if org is not None:
            org.stripe_customer_id = None
            log.warning("the customer of %s was deleted in Stripe: made anew", org.slug)
    return Outcome.PROCESSED, "the customer is deleted: made anew"
