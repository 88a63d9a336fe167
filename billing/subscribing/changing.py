"""Moving an organization from one plan to another at a whole hour."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from billing.audit import record_act
from billing.errors import Invalid
from billing.models import Organization, Plan, Subscription
from billing.rules.periods import ceil_hour
from billing.subscribing.holding import (
    check_currency,
    check_end,
    check_reach,
    held,
    refuse_pending,
)
from billing.subscriptions import (
    AlreadyOnPlan,
    decide_end,
    get_plan,
    get_subscription,
    pending_change,
    refuse_pricing_twice,
    refuse_twice,
)


async def change_plan(  # noqa: PLR0913 - a change has two plans
    session: AsyncSession,
    org: Organization,
    from_plan: str,
    to_plan: str,
    *,
    at: datetime | None,
    actor: str,
    now: datetime,
) -> Subscription:
    """End one subscription and start another at the same hour, `at` (None: now) rounded up.

    The unused part of the one fee and what is due of the other meet on the next invoice to close. A
    trial goes on. Answers the new subscription; the same change again is answered the same. Raises
    `NotFound`, `NotOnPlan`, `Invalid`, `ChangeInClosedPeriod`, `OrganizationClosed`,
    `ChangePending`, `AlreadyOnPlan` or `MeterPricedTwice`.
    """
    left = await get_plan(session, from_plan, field="fromPlan")
    plan = await get_plan(session, to_plan)
    org = await held(session, org)
    old = await get_subscription(session, org, left, now, field="fromPlan")
    moment = ceil_hour(now if at is None else at)
    pending = await pending_change(session, old, now)
    if pending is not None and (pending.plan_id, pending.starts_at) == (plan.id, moment):
        return pending
    await refuse_pending(session, old, now)
    await _check(session, org, old, plan, moment)
    new = Subscription(
        org_id=org.id,
        plan_id=plan.id,
        starts_at=moment,
        ends_at=org.closed_at,
        trial_ends_at=_rest_of_trial(old, moment),
        replaces_id=old.id,
        recorded_at=now,
    )
    session.add(new)
    await decide_end(session, old, moment, now)
    await record_act(
        session,
        actor=actor,
        action="subscription.changed",
        subject=plan.slug,
        org_id=org.id,
        details={"from": left.slug, "to": plan.slug, "at": moment.isoformat()},
        now=now,
    )
    return new


async def _check(
    session: AsyncSession, org: Organization, old: Subscription, plan: Plan, moment: datetime
) -> None:
    if old.plan_id == plan.id:
        raise AlreadyOnPlan(org, plan)
    check_reach(org, moment)
    check_end(old, moment)
    if old.ends_at is not None and moment > old.ends_at:
        raise Invalid(
            f"It ends at {old.ends_at:%Y-%m-%d %H:%M} UTC: change then or earlier, or resume it"
            " first.",
            code="CHANGE_AFTER_END",
            field="at",
        )
    check_currency(org, plan)
    await refuse_twice(session, org, plan, moment, leaving=old)
    await refuse_pricing_twice(session, org, plan, moment, leaving=old)


def _rest_of_trial(old: Subscription, moment: datetime) -> datetime | None:
    ends_at = old.trial_ends_at
    return ends_at if ends_at is not None and ends_at > moment else None
