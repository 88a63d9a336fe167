"""Ending a subscription, now or later, and taking that back."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from billing.audit import record_act
from billing.models import Organization, Subscription
from billing.rules.periods import ceil_hour, period_at
from billing.subscribing.holding import (
    OrganizationClosed,
    check_end,
    check_reach,
    held,
    refuse_pending,
)
from billing.subscriptions import (
    decide_end,
    get_plan,
    get_subscription,
    pending_change,
    refuse_pricing_twice,
    refuse_twice,
    withdraw_subscription,
)


async def cancel_subscription(
    session: AsyncSession,
    org: Organization,
    plan_slug: str,
    *,
    at: datetime | None,
    actor: str,
    now: datetime,
) -> Subscription:
    """End `org`'s subscription to a plan at `at`, rounded up to the hour; None: with the period.

    What was paid in advance and is not used comes back on the next invoice to close. Doing it again
    changes nothing; until it has ended, another end may be chosen. Raises `NotFound`, `NotOnPlan`,
    `Invalid`, `ChangeInClosedPeriod`, `OrganizationClosed` or `ChangePending`.
    """
    plan = await get_plan(session, plan_slug)
    org = await held(session, org)
    subscription = await get_subscription(session, org, plan, now)
    ends_at = period_at(now, org.anchor_day).end if at is None else ceil_hour(at)
    await refuse_pending(session, subscription, now)
    if subscription.ends_at == ends_at:
        return subscription
    check_end(subscription, ends_at)
    check_reach(org, ends_at)
    await decide_end(session, subscription, ends_at, now)
    await record_act(
        session,
        actor=actor,
        action="subscription.cancelled",
        subject=plan.slug,
        org_id=org.id,
        details={"ends_at": ends_at.isoformat()},
        now=now,
    )
    return subscription


async def resume_subscription(
    session: AsyncSession, org: Organization, plan_slug: str, *, actor: str, now: datetime
) -> Subscription:
    """Let a subscription that has not ended yet go on, and withdraw a change that was to come.

    Raises `NotFound`, `NotOnPlan`, `OrganizationClosed`, `AlreadyOnPlan` or `MeterPricedTwice`.
    """
    plan = await get_plan(session, plan_slug)
    org = await held(session, org)
    subscription = await get_subscription(session, org, plan, now)
    if subscription.ends_at is None:
        return subscription
    if org.closed_at is not None:
        raise OrganizationClosed(f"{org.name} is closed, which is not taken back.")
    ends_at = subscription.ends_at
    if (pending := await pending_change(session, subscription, now)) is not None:
        await withdraw_subscription(session, pending, now)
    await refuse_twice(session, org, plan, ends_at, leaving=subscription)
    await refuse_pricing_twice(session, org, plan, ends_at, leaving=subscription)
    await decide_end(session, subscription, None, now)
    await record_act(
        session,
        actor=actor,
        action="subscription.resumed",
        subject=plan.slug,
        org_id=org.id,
        details={"would_have_ended_at": ends_at.isoformat()},
        now=now,
    )
    return subscription
