"""When a subscription ends, decided and decided anew: what was known before is kept.

So an estimate of the past, and an invoice that is verified, see what was decided then.
"""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from billing.ids import OrgId
from billing.models import Subscription, SupersededSubscription


async def decide_end(
    session: AsyncSession, subscription: Subscription, ends_at: datetime | None, now: datetime
) -> None:
    """Let it end at `ends_at`; None: let it go on."""
    if subscription.ends_at is not None:
        _keep(session, subscription, now)
    subscription.ends_at = ends_at
    subscription.ended_at = None if ends_at is None else now
    await session.flush()


async def withdraw_subscription(
    session: AsyncSession, subscription: Subscription, now: datetime
) -> None:
    """Take back one that has not begun."""
    _keep(session, subscription, now)
    await session.delete(subscription)
    await session.flush()


def _keep(session: AsyncSession, subscription: Subscription, now: datetime) -> None:
    known_from = subscription.ended_at or subscription.recorded_at
    if known_from < now:
        session.add(
            SupersededSubscription(
                subscription_id=subscription.id,
                org_id=subscription.org_id,
                plan_id=subscription.plan_id,
                starts_at=subscription.starts_at,
                ends_at=subscription.ends_at,
                trial_ends_at=subscription.trial_ends_at,
                replaces_id=subscription.replaces_id,
                known_from=known_from,
                known_until=now,
            )
        )


async def subscriptions_known_at(
    session: AsyncSession, org_id: OrgId, known_at: datetime
) -> list[Subscription]:
    """All of an organization's, each with the end that had been decided by then."""
    rows = await session.scalars(
        select(Subscription).where(
            Subscription.org_id == org_id, Subscription.recorded_at <= known_at
        )
    )
    superseded = await session.scalars(
        select(SupersededSubscription).where(
            SupersededSubscription.org_id == org_id,
            SupersededSubscription.known_from <= known_at,
            SupersededSubscription.known_until > known_at,
        )
    )
    known = {row.id: _before_its_end(row, known_at) for row in rows}
    known |= {row.subscription_id: _as_it_was(row) for row in superseded}
    return list(known.values())


def _before_its_end(row: Subscription, known_at: datetime) -> Subscription:
    if row.ended_at is None or row.ended_at <= known_at:
        return row
    return Subscription(
        id=row.id,
        org_id=row.org_id,
        plan_id=row.plan_id,
        starts_at=row.starts_at,
        trial_ends_at=row.trial_ends_at,
        replaces_id=row.replaces_id,
        recorded_at=row.recorded_at,
    )


def _as_it_was(row: SupersededSubscription) -> Subscription:
    return Subscription(
        id=row.subscription_id,
        org_id=row.org_id,
        plan_id=row.plan_id,
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        trial_ends_at=row.trial_ends_at,
        replaces_id=row.replaces_id,
    )
