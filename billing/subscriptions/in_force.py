"""Who is on which plan: now, in a period, or as it was known at an earlier instant."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from billing.errors import NotFound
from billing.ids import OrgId, PlanId
from billing.models import (
    Organization,
    Plan,
    Price,
    PriceOverride,
    PriceVersion,
    Subscription,
)
from billing.rules.periods import Period
from billing.subscriptions.deciding import subscriptions_known_at


class NotOnPlan(NotFound):
    """The organization is not on this plan now."""

    code = "NOT_ON_PLAN"


async def subscriptions_in(
    session: AsyncSession, org_id: OrgId, period: Period, *, known_at: datetime | None = None
) -> Sequence[Subscription]:
    """Those in force at some instant of the period, in the order they were started.

    Given `known_at`, as they were then: with an end only if that was decided by then.
    """
    if known_at is not None:
        known = await subscriptions_known_at(session, org_id, known_at)
        found = [row for row in known if period.overlap(row.starts_at, row.ends_at)]
        return sorted(found, key=lambda row: (row.starts_at, row.id))
    rows = await session.scalars(
        select(Subscription)
        .where(
            Subscription.org_id == org_id,
            Subscription.starts_at < period.end,
            func.coalesce(Subscription.ends_at, period.end) > period.start,
        )
        .order_by(Subscription.starts_at, Subscription.id)
    )
    return rows.all()


async def plans_with_prices(
    session: AsyncSession, plan_ids: Sequence[PlanId], *, known_at: datetime | None = None
) -> dict[PlanId, Plan]:
    """Plans with their prices and all versions of these; or those of them recorded by then."""
    versions = selectinload(Plan.prices).selectinload(
        Price.versions
        if known_at is None
        else Price.versions.and_(PriceVersion.recorded_at <= known_at)
    )
    statement = select(Plan).where(Plan.id.in_(plan_ids)).options(versions)
    if known_at is not None:
        statement = statement.execution_options(populate_existing=True)
    return {plan.id: plan for plan in await session.scalars(statement)}


async def get_plan(session: AsyncSession, slug: str, *, field: str = "plan") -> Plan:
    """A plan with its prices. Raises `NotFound` (`PLAN_NOT_FOUND`) naming the field."""
    plan = await session.scalar(
        select(Plan)
        .where(Plan.slug == slug)
        .options(selectinload(Plan.prices).selectinload(Price.versions))
    )
    if plan is None:
        raise NotFound(f"There is no plan {slug[:60]!r}.", code="PLAN_NOT_FOUND", field=field)
    return plan


async def get_subscription(
    session: AsyncSession, org: Organization, plan: Plan, now: datetime, *, field: str = "plan"
) -> Subscription:
    """The one that puts `org` on `plan` now. Raises `NotOnPlan`, also for one to come."""
    found = await session.scalar(
        select(Subscription).where(
            Subscription.org_id == org.id,
            Subscription.plan_id == plan.id,
            Subscription.starts_at <= now,
            or_(Subscription.ends_at.is_(None), Subscription.ends_at > now),
        )
    )
    if found is None:
        raise NotOnPlan(f"{org.name} is not on {plan.name} now.", field=field)
    return found


async def pending_change(
    session: AsyncSession, subscription: Subscription, now: datetime
) -> Subscription | None:
    """What a change of plan will put in its place, if that is still to come."""
    return await session.scalar(
        select(Subscription).where(
            Subscription.org_id == subscription.org_id,
            Subscription.replaces_id == subscription.id,
            Subscription.starts_at > now,
        )
    )


@dataclass(frozen=True, slots=True)
class Standing:
    """A subscription with its plan, and the organization's own prices there, oldest first."""

    row: Subscription
    plan: Plan
    overrides: tuple[tuple[Price, PriceOverride], ...]


async def standing_subscriptions(
    session: AsyncSession, org_id: OrgId, now: datetime, *, also_ended: bool = False
) -> list[Standing]:
    """What an organization is on, and will be, in the order of starts; `also_ended`: or was."""
    statement = select(Subscription).where(Subscription.org_id == org_id)
    if not also_ended:
        statement = statement.where(or_(Subscription.ends_at.is_(None), Subscription.ends_at > now))
    rows = await session.scalars(statement.order_by(Subscription.starts_at, Subscription.id))
    subscriptions = rows.all()
    plans = await plans_with_prices(session, [x.plan_id for x in subscriptions])
    overrides = await session.scalars(
        select(PriceOverride)
        .where(PriceOverride.org_id == org_id)
        .order_by(PriceOverride.effective_from)
    )
    own = overrides.all()
    return [_standing(row, plans[row.plan_id], own) for row in subscriptions]


def _standing(row: Subscription, plan: Plan, overrides: Sequence[PriceOverride]) -> Standing:
    prices = {price.id: price for price in plan.prices}
    own = tuple((prices[x.price_id], x) for x in overrides if x.price_id in prices)
    return Standing(row, plan, own)
