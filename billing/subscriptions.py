"""Who is on which plan, and what the plan offers them in a period."""

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from typing import NamedTuple

from sqlalchemy import ColumnElement, Select, case, func, or_, select, true
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from billing.catalog import filters_of, terms_of
from billing.errors import Conflict
from billing.ids import MeterId, OrgId, PlanId
from billing.models import (
    Meter,
    Organization,
    Plan,
    Price,
    PriceOverride,
    PriceVersion,
    Subscription,
)
from billing.models.base import Json
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
    session: AsyncSession, org_id: OrgId, period: Period, *, known_at: datetime | None = None
) -> Sequence[Subscription]:
    """Those in force at some instant of the period, in the order they were started.

    Given `known_at`, as they were then: with an end only if that was decided by then.
    """
    ends_at: ColumnElement[datetime] = func.coalesce(Subscription.ends_at, period.end)
    known: ColumnElement[bool] = true()
    if known_at is not None:
        is_decided = or_(Subscription.ended_at.is_(None), Subscription.ended_at <= known_at)
        ends_at = case((is_decided, ends_at), else_=period.end)
        known = Subscription.recorded_at <= known_at
    rows = await session.scalars(
        select(Subscription)
        .where(
            Subscription.org_id == org_id,
            Subscription.starts_at < period.end,
            ends_at > period.start,
            known,
        )
        .order_by(Subscription.starts_at, Subscription.id)
    )
    return [_as_known(row, known_at) for row in rows]


def _as_known(row: Subscription, known_at: datetime | None) -> Subscription:
    if known_at is None or row.ended_at is None or row.ended_at <= known_at:
        return row
    return Subscription(
        id=row.id,
        org_id=row.org_id,
        plan_id=row.plan_id,
        starts_at=row.starts_at,
        trial_ends_at=row.trial_ends_at,
        replaces_id=row.replaces_id,
    )


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


def offers_of(
    org: Organization,
    subscription: Subscription,
    plan: Plan,
    period: Period,
    meters: dict[MeterId, Meter],
    overrides: Sequence[PriceOverride] = (),
) -> list[Offer]:
    """What a subscription offers in a period: each version of each price, where it is in force.

    The organization's own terms stand in for the plan's; a trial waives fees, and an organization
    that is closed is on nothing.
    """
    active = period.overlap(subscription.starts_at, subscription.ends_at)
    if active is not None and org.closed_at is not None:
        active = active.overlap(active.start, org.closed_at)
    if active is None:
        return []
    billed: Period | None = active
    if subscription.trial_ends_at is not None:
        billed = active.overlap(subscription.trial_ends_at, None)
    return [
        offer
        for price in plan.prices
        if price.currency == org.currency
        and (span := active if price.meter_id else billed) is not None
        for offer in _offers_of_price(
            _Offered(org, plan, price),
            span,
            meters,
            [x for x in overrides if x.price_id == price.id],
        )
    ]


class _Offered(NamedTuple):
    org: Organization
    plan: Plan
    price: Price

    def in_force(self, at: datetime, overrides: Sequence[PriceOverride]) -> tuple[str, Json] | None:
        """The public name and the terms that hold at an instant."""
        own = [x for x in overrides if x.effective_from <= at]
        if own and own[-1].terms is not None:
            return override_name(self.org, self.plan, self.price, own[-1]), own[-1].terms
        versions = [x for x in self.price.versions if x.effective_from <= at]
        if not versions:
            return None
        return version_name(self.plan, self.price, versions[-1]), versions[-1].terms


def _offers_of_price(
    offered: _Offered,
    active: Period,
    meters: dict[MeterId, Meter],
    overrides: Sequence[PriceOverride],
) -> list[Offer]:
    price = offered.price
    meter = meters[price.meter_id].terms if price.meter_id else None
    filters = filters_of(price.filters)
    changes = [x.effective_from for x in price.versions] + [x.effective_from for x in overrides]
    cuts = sorted({active.start, active.end, *(x for x in changes if x in active)})
    offers: list[Offer] = []
    for start, end in pairwise(cuts):
        found = offered.in_force(start, overrides)
        if found is None:
            continue
        name, terms = found
        goes_on = offers and (offers[-1].version, offers[-1].span.end) == (name, start)
        span = Period(offers.pop().span.start if goes_on else start, end)
        offers.append(
            Offer(name, price.name, terms_of(terms, price.currency), span, meter, filters)
        )
    return offers


def override_name(org: Organization, plan: Plan, price: Price, override: PriceOverride) -> str:
    """An organization's own version, such as `pro/egress/USD@acme-1`."""
    return f"{plan.slug}/{price.slug}/{price.currency}@{org.key}-{override.number}"


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
