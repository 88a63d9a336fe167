"""Who is on which plan, and what the plan offers them in a period."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Select, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from billing.catalog import filters_of, terms_of
from billing.errors import Conflict
from billing.ids import MeterId, OrgId, PlanId
from billing.models import Meter, Organization, Plan, Price, PriceVersion, Subscription
from billing.rules.ladders import Offer
from billing.rules.periods import Period


class MeterPricedTwice(Conflict):
    """Two active plans would charge for the same usage."""

    code = "METER_PRICED_TWICE"

    def __init__(self, meter: str, plan: str, other: str) -> None:
        super().__init__(
            f"{meter} is priced by {plan} and by {other}, which the organization is already on.",
            field="plan",
        )


async def subscriptions_in(
    session: AsyncSession, org_id: OrgId, period: Period
) -> Sequence[Subscription]:
    """Those in force at some instant of the period, in the order they were started."""
    rows = await session.scalars(
        select(Subscription)
        .where(
            Subscription.org_id == org_id,
            Subscription.starts_at < period.end,
            or_(Subscription.ends_at.is_(None), Subscription.ends_at > period.start),
        )
        .order_by(Subscription.starts_at, Subscription.id)
    )
    return rows.all()


async def plans_with_prices(
    session: AsyncSession, plan_ids: Sequence[PlanId]
) -> dict[PlanId, Plan]:
    """Plans with their prices and all versions of these."""
    rows = await session.scalars(
        select(Plan)
        .where(Plan.id.in_(plan_ids))
        .options(selectinload(Plan.prices).selectinload(Price.versions))
    )
    return {plan.id: plan for plan in rows}


def offers_of(
    org: Organization,
    subscription: Subscription,
    plan: Plan,
    period: Period,
    meters: dict[MeterId, Meter],
) -> list[Offer]:
    """What a subscription offers in a period: each version of each price, where it is in force."""
    active = period.overlap(subscription.starts_at, subscription.ends_at)
    if active is None:
        return []
    return [
        offer
        for price in plan.prices
        if price.currency == org.currency
        for offer in _versions_in(plan, price, active, meters)
    ]


def _versions_in(
    plan: Plan, price: Price, active: Period, meters: dict[MeterId, Meter]
) -> list[Offer]:
    meter = meters[price.meter_id].terms if price.meter_id else None
    filters = filters_of(price.filters)
    ends = [version.effective_from for version in price.versions[1:]]
    offers = []
    for version, end in zip(price.versions, [*ends, None], strict=True):
        span = active.overlap(version.effective_from, end)
        if span is not None:
            terms = terms_of(version.terms, price.currency)
            name = version_name(plan, price, version)
            offers.append(Offer(name, price.name, terms, span, meter, filters))
    return offers


def version_name(plan: Plan, price: Price, version: PriceVersion) -> str:
    """A version's public name, such as `pro/egress/USD@2`: it is on invoices and in digests."""
    return f"{plan.slug}/{price.slug}/{price.currency}@{version.number}"


class AlreadyOnPlan(Conflict):
    """The organization is on this plan."""

    code = "ALREADY_ON_PLAN"


async def refuse_twice(
    session: AsyncSession, org: Organization, plan: Plan, since: datetime
) -> None:
    """Raise `AlreadyOnPlan` when it is in force from `since` on: a repeat must not bill twice."""
    active = _active(org, since)
    if await session.scalar(active.where(Subscription.plan_id == plan.id).limit(1)):
        raise AlreadyOnPlan(f"{org.name} is on {plan.name} already.", field="plan")


def _active(org: Organization, since: datetime) -> Select[Subscription]:
    return select(Subscription).where(
        Subscription.org_id == org.id,
        or_(Subscription.ends_at.is_(None), Subscription.ends_at > since),
    )


async def refuse_pricing_twice(
    session: AsyncSession, org: Organization, plan: Plan, since: datetime
) -> None:
    """Raise `MeterPricedTwice` when a plan in force from `since` on prices one of these meters."""
    active = await session.scalars(_active(org, since))
    others = await plans_with_prices(session, [x.plan_id for x in active])
    ours = _metered(org, plan)
    for other in others.values():
        for meter_id in ours & _metered(org, other):
            meter = await session.get_one(Meter, meter_id)
            raise MeterPricedTwice(meter.slug, plan.slug, other.slug)


def _metered(org: Organization, plan: Plan) -> set[MeterId]:
    return {x.meter_id for x in plan.prices if x.meter_id and x.currency == org.currency}
