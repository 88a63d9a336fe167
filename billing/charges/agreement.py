"""What an organization is on: its subscriptions, their plans and prices, and its own prices."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from billing.catalog import meters
from billing.charges.basis import Basis
from billing.ids import MeterId, PlanId, PriceVersionId
from billing.models import Meter, Organization, Plan, PriceOverride, Subscription
from billing.rules.ladders import Offer, merged
from billing.rules.lines import DraftLine, LineKind, rated_line
from billing.rules.periods import Period
from billing.rules.prices import Model, Timing
from billing.rules.rating import Segment, rate_fee
from billing.subscriptions import offers_of, plans_with_prices, subscriptions_in, version_name


@dataclass(frozen=True, slots=True)
class Agreement:
    """What one organization is on, as far as a period is concerned."""

    org: Organization
    subscriptions: Sequence[Subscription]
    plans: dict[PlanId, Plan]
    meters: dict[MeterId, Meter]
    overrides: Sequence[PriceOverride] = field(default=())

    def offers(self, period: Period) -> list[Offer]:
        """Every price version in force in the period, in subscription and price order."""
        return self._offers(self.subscriptions, period)

    def fee_lines(
        self, period: Period, kind: LineKind, timing: Timing, *, before_it_starts: bool = False
    ) -> list[DraftLine]:
        """The fees of a period. Nobody is billed before a trial ends, so not `before_it_starts`."""
        subscriptions = [
            x
            for x in self.subscriptions
            if not (before_it_starts and x.trial_ends_at and x.trial_ends_at > period.start)
        ]
        offers = [
            offer
            for offer in merged(self._offers(subscriptions, period))
            if offer.terms.model is Model.FLAT and offer.terms.timing is timing
        ]
        numbers: dict[str, int] = {}
        lines = []
        for offer in offers:
            segment = numbers.setdefault(offer.version, 0)
            numbers[offer.version] += 1
            rated = rate_fee(Segment(offer.version, offer.terms, offer.span), period)
            lines.append(rated_line(kind, rated, description=offer.name, segment=segment))
        return lines

    def version_ids(self) -> dict[str, PriceVersionId]:
        """Row ids by public name."""
        return {
            version_name(plan, price, version): version.id
            for plan in self.plans.values()
            for price in plan.prices
            for version in price.versions
        }

    def _offers(self, subscriptions: Sequence[Subscription], period: Period) -> list[Offer]:
        return [
            offer
            for subscription in subscriptions
            for offer in offers_of(
                self.org,
                subscription,
                self.plans[subscription.plan_id],
                period,
                self.meters,
                self.overrides,
            )
        ]


async def agreement_for(
    session: AsyncSession, org: Organization, span: Period, basis: Basis
) -> Agreement:
    """What `org` is on at some instant of `span`, as far as the basis knows."""
    known_at = basis.known_at
    subscriptions = await subscriptions_in(session, org.id, span, known_at=known_at)
    plan_ids = [x.plan_id for x in subscriptions]
    plans = await plans_with_prices(session, plan_ids, known_at=known_at)
    overrides = await session.scalars(
        select(PriceOverride)
        .where(PriceOverride.org_id == org.id, basis.knows(PriceOverride.recorded_at))
        .order_by(PriceOverride.effective_from)
    )
    found = {x.id: x for x in await meters(session)}
    return Agreement(org, subscriptions, plans, found, overrides.all())
