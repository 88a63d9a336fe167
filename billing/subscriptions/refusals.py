"""What an organization may not be on at once."""

from datetime import datetime

from sqlalchemy import Select, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from billing.errors import Conflict
from billing.ids import MeterId
from billing.models import Meter, Organization, Plan, Subscription
from billing.subscriptions.in_force import plans_with_prices


class MeterPricedTwice(Conflict):
    """Two active plans would charge for the same usage."""

    code = "METER_PRICED_TWICE"

    def __init__(self, meter: str, plan: str, other: str) -> None:
        super().__init__(
            f"{meter} is priced by {plan} and by {other}, which the organization is already on.",
            field="plan",
        )


class AlreadyOnPlan(Conflict):
    """The organization is on this plan."""

    code = "ALREADY_ON_PLAN"

    def __init__(self, org: Organization, plan: Plan) -> None:
        super().__init__(f"{org.name} is on {plan.name} already.", field="plan")


async def refuse_twice(
    session: AsyncSession,
    org: Organization,
    plan: Plan,
    since: datetime,
    *,
    leaving: Subscription | None = None,
) -> None:
    """Raise `AlreadyOnPlan` when it is in force from `since` on: a repeat must not bill twice.

    What is being left does not count.
    """
    active = _active(org, since, leaving)
    if await session.scalar(active.where(Subscription.plan_id == plan.id).limit(1)):
        raise AlreadyOnPlan(org, plan)


async def refuse_pricing_twice(
    session: AsyncSession,
    org: Organization,
    plan: Plan,
    since: datetime,
    *,
    leaving: Subscription | None = None,
) -> None:
    """Raise `MeterPricedTwice` when a plan in force from `since` on prices one of these meters."""
    active = await session.scalars(_active(org, since, leaving))
    others = await plans_with_prices(session, [x.plan_id for x in active])
    ours = _metered(org, plan)
    for other in others.values():
        for meter_id in ours & _metered(org, other):
            meter = await session.get_one(Meter, meter_id)
            raise MeterPricedTwice(meter.slug, plan.slug, other.slug)


def _active(
    org: Organization, since: datetime, leaving: Subscription | None
) -> Select[Subscription]:
    statement = select(Subscription).where(
        Subscription.org_id == org.id,
        or_(Subscription.ends_at.is_(None), Subscription.ends_at > since),
    )
    return statement if leaving is None else statement.where(Subscription.id != leaving.id)


def _metered(org: Organization, plan: Plan) -> set[MeterId]:
    return {x.meter_id for x in plan.prices if x.meter_id and x.currency == org.currency}
