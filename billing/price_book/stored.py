"""What the database holds that a price book is held against."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased, selectinload

from billing.ids import MeterId, PlanId
from billing.models import (
    Invoice,
    InvoiceKind,
    Meter,
    Organization,
    Plan,
    Price,
    Subscription,
    UsageSeries,
)
from billing.rules.money import Currency

_LONGEST_PERIOD = timedelta(days=31)
"""Who was on a plan within it may have paid for the open period, also when they leave in it."""


@dataclass(frozen=True, slots=True)
class Stored:
    """The catalogue as it is, and what of it others already rely on.

    `closed_until`: the latest end of an invoiced period of somebody on the plan, per currency.
    `paid_until`: the latest end of a period whose fees in advance somebody on the plan was billed.
    `held_together`: pairs of plans that some organization is on at the same time.
    """

    meters: Mapping[str, Meter]
    plans: Mapping[str, Plan]
    used_meters: frozenset[MeterId]
    closed_until: Mapping[tuple[PlanId, Currency], datetime]
    paid_until: Mapping[tuple[PlanId, Currency], datetime]
    held_together: frozenset[tuple[PlanId, PlanId, Currency]]

    def meter_slug(self, price: Price) -> str | None:
        """The meter a stored price is for; None for a fee."""
        return next((x.slug for x in self.meters.values() if x.id == price.meter_id), None)

    def price(self, plan: str, key: tuple[str, Currency]) -> Price | None:
        """A stored price, if there is one."""
        prices = self.plans[plan].prices if plan in self.plans else []
        return next((x for x in prices if (x.slug, x.currency) == key), None)


async def read_stored(session: AsyncSession) -> Stored:
    """The whole catalogue: a few hundred rows."""
    plans = await session.scalars(
        select(Plan).options(selectinload(Plan.prices).selectinload(Price.versions))
    )
    return Stored(
        meters={meter.slug: meter for meter in await session.scalars(select(Meter))},
        plans={plan.slug: plan for plan in plans.all()},
        used_meters=await _used_meters(session),
        closed_until=await _closed_until(session),
        paid_until=await _paid_until(session),
        held_together=await _held_together(session),
    )


async def _used_meters(session: AsyncSession) -> frozenset[MeterId]:
    """By series rather than by event: a meter's first event makes its first series."""
    return frozenset(await session.scalars(select(UsageSeries.meter_id).distinct()))


async def _closed_until(session: AsyncSession) -> dict[tuple[PlanId, Currency], datetime]:
    rows = await session.execute(
        select(Subscription.plan_id, Organization.currency, func.max(Invoice.period_end))
        .join(Organization, Organization.id == Subscription.org_id)
        .join(Invoice, Invoice.org_id == Subscription.org_id)
        .where(
            Invoice.kind == InvoiceKind.PERIOD,
            Subscription.starts_at < Invoice.period_end,
            or_(Subscription.ends_at.is_(None), Subscription.ends_at > Invoice.period_start),
        )
        .group_by(Subscription.plan_id, Organization.currency)
    )
    return {(plan_id, currency): end for plan_id, currency, end in rows}


async def _paid_until(session: AsyncSession) -> dict[tuple[PlanId, Currency], datetime]:
    rows = await session.execute(
        select(Subscription.plan_id, Organization.currency, func.max(Organization.open_period_end))
        .join(Organization, Organization.id == Subscription.org_id)
        .where(
            Subscription.starts_at < Organization.open_period_end,
            or_(
                Subscription.ends_at.is_(None),
                Subscription.ends_at > Organization.open_period_end - _LONGEST_PERIOD,
            ),
        )
        .group_by(Subscription.plan_id, Organization.currency)
    )
    return {(plan_id, currency): end for plan_id, currency, end in rows}


async def _held_together(session: AsyncSession) -> frozenset[tuple[PlanId, PlanId, Currency]]:
    one, other = aliased(Subscription), aliased(Subscription)
    rows = await session.execute(
        select(one.plan_id, other.plan_id, Organization.currency)
        .join(other, other.org_id == one.org_id)
        .join(Organization, Organization.id == one.org_id)
        .where(
            one.plan_id != other.plan_id,
            _starts_before_end(one, other),
            _starts_before_end(other, one),
        )
        .distinct()
    )
    return frozenset((a, b, currency) for a, b, currency in rows)


def _starts_before_end(one: type[Subscription], other: type[Subscription]) -> ColumnElement[bool]:
    return or_(other.ends_at.is_(None), one.starts_at < other.ends_at)
