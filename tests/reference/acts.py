"""What staff do to the organization of a world, each through the product's own door."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy.ext.asyncio import AsyncSession

from billing.capping import set_cap
from billing.coupons import NewCoupon, create_coupon, end_coupon
from billing.credits import NewGrant, grant_credit
from billing.models import Organization
from billing.one_offs import NewOneOff, add_one_off
from billing.rules.money import Currency, Money
from billing.rules.reductions import GrantKind
from billing.subscribing import (
    NewOverride,
    cancel_subscription,
    change_plan,
    override_price,
    resume_subscription,
    start_subscription,
)
from billing.taxes import end_tax_rate, set_tax_rate
from tests.reference.price_book import terms_of
from tests.reference.world import (
    CapChange,
    Coupon,
    Grant,
    OneOff,
    PriceOverride,
    Subscription,
    TaxRate,
    World,
)
from tests.world import Clock

ACTOR = "cli"


@dataclass
class Acts:
    """At the clock's instant, in the session of the caller."""

    world: World
    clock: Clock

    async def start(self, session: AsyncSession, org: Organization, one: Subscription) -> None:
        """On a plan."""
        await start_subscription(
            session,
            org,
            one.plan,
            one.starts_at,
            actor=ACTOR,
            now=self.clock.at,
            trial_ends_at=one.trial_ends_at,
        )

    async def change(
        self, session: AsyncSession, org: Organization, old: Subscription, new: Subscription
    ) -> None:
        """From one plan to another."""
        await change_plan(
            session, org, old.plan, new.plan, at=new.starts_at, actor=ACTOR, now=self.clock.at
        )

    async def cancel(
        self, session: AsyncSession, org: Organization, one: Subscription, ends_at: datetime
    ) -> None:
        """End it, now or later."""
        await cancel_subscription(
            session, org, one.plan, at=ends_at, actor=ACTOR, now=self.clock.at
        )

    async def resume(self, session: AsyncSession, org: Organization, one: Subscription) -> None:
        """Take the end back."""
        await resume_subscription(session, org, one.plan, actor=ACTOR, now=self.clock.at)

    async def override(self, session: AsyncSession, org: Organization, one: PriceOverride) -> None:
        """Own terms, or the plan's again."""
        terms = None if one.terms is None else terms_of(one.terms)
        new = NewOverride(one.plan, one.price, terms, "Agreed.", one.effective_from)
        await override_price(session, org, new, actor=ACTOR, now=self.clock.at)

    async def tax(self, session: AsyncSession, org: Organization, one: TaxRate) -> None:
        """A rate from now on."""
        await set_tax_rate(session, org, one.name, one.percent, actor=ACTOR, now=self.clock.at)

    async def untax(self, session: AsyncSession, org: Organization, one: TaxRate) -> None:
        """No longer."""
        await end_tax_rate(session, org, one.name, actor=ACTOR, now=self.clock.at)

    async def end_coupon(self, session: AsyncSession, org: Organization, one: Coupon) -> None:
        """No longer."""
        await end_coupon(session, org, one.name, actor=ACTOR, now=self.clock.at)

    async def sell(self, session: AsyncSession, org: Organization, one: OneOff) -> None:
        """One item."""
        item = NewOneOff(
            one.key, self._major(one.amount_minor), org.currency, one.key, one.incurred_at
        )
        await add_one_off(session, org, item, actor=ACTOR, now=self.clock.at)

    async def give_coupon(self, session: AsyncSession, org: Organization, one: Coupon) -> None:
        """One."""
        amount = None if one.amount_minor is None else self._major(one.amount_minor)
        new = NewCoupon(one.name, one.name, one.percent, amount, one.invoices)
        await create_coupon(session, org, new, actor=ACTOR, now=self.clock.at)

    async def grant(self, session: AsyncSession, org: Organization, one: Grant) -> None:
        """Money given or bought ahead."""
        new = NewGrant(
            one.name,
            one.name,
            GrantKind(one.kind),
            self._major(one.amount_minor),
            one.scope,
            one.priority,
            one.valid_from,
            one.expires_at,
        )
        await grant_credit(session, org, new, actor=ACTOR, now=self.clock.at)

    async def cap(self, session: AsyncSession, org: Organization, change: CapChange) -> None:
        """A maximum from now on."""
        amount = None if change.amount_minor is None else self._major(change.amount_minor)
        await set_cap(session, org, amount, actor=ACTOR, now=self.clock.at)

    def _major(self, minor: int) -> Decimal:
        return Money(minor, Currency(self.world.organization.currency)).major
