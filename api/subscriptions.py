"""Subscriptions, an organization's own prices in them, and what changing them does to the bill."""

from datetime import datetime
from typing import Annotated, Any, Self

import strawberry
from sqlalchemy.ext.asyncio import AsyncSession

from api.lines import LineItem
from api.money import Money
from api.nodes import global_id
from billing import models, subscribing
from billing.catalog import terms_of
from billing.models import Plan, Price
from billing.price_book.wording import terms_words
from billing.subscriptions import Standing, get_plan, override_name, standing_subscriptions

AlsoEnded = Annotated[
    bool, strawberry.argument(description="Whether those that have ended are listed too.")
]


@strawberry.type(description="Other terms of one price, for one organization.")
class PriceOverride:
    """Never edited: the next one takes over from its hour on."""

    version: str = strawberry.field(
        description="Its public name, as on invoices: pro/egress/USD@acme-1."
    )
    price: str = strawberry.field(description="The price's slug.")
    effective_from: datetime = strawberry.field(description="The whole UTC hour it holds from.")
    terms: str | None = strawberry.field(
        description="What it asks for, in words; null where the plan's own terms hold again."
    )
    reason: str = strawberry.field(description="Why, as staff put it.")

    @classmethod
    def of(
        cls, org: models.Organization, plan: Plan, price: Price, row: models.PriceOverride
    ) -> Self:
        """A row, shown."""
        return cls(
            version=override_name(org, plan, price, row),
            price=price.slug,
            effective_from=row.effective_from,
            terms=None if row.terms is None else terms_words(terms_of(row.terms, price.currency)),
            reason=row.reason,
        )


@strawberry.type(description="An organization on a plan.")
class Subscription:
    """Several may be active, as long as no meter is priced twice."""

    id: strawberry.ID = strawberry.field(description="Opaque and stable.")
    plan: str = strawberry.field(description="The plan's slug.")
    plan_name: str = strawberry.field(description="The plan's name, for people.")
    starts_at: datetime = strawberry.field(
        description="The whole UTC hour it starts with; to come after a change of plan is arranged."
    )
    ends_at: datetime | None = strawberry.field(
        description="The whole UTC hour it ends with; null while no end is set."
    )
    trial_ends_at: datetime | None = strawberry.field(
        description="Until then there are no fees; null for no trial."
    )
    price_overrides: list[PriceOverride] = strawberry.field(
        description="The organization's own prices on this plan, by the hour they hold from."
    )

    @classmethod
    def of(cls, org: models.Organization, standing: Standing) -> Self:
        """A row with its plan, shown."""
        row, plan = standing.row, standing.plan
        return cls(
            id=global_id("Subscription", org.id, row.id),
            plan=plan.slug,
            plan_name=plan.name,
            starts_at=row.starts_at,
            ends_at=row.ends_at,
            trial_ends_at=row.trial_ends_at,
            price_overrides=[PriceOverride.of(org, plan, *own) for own in standing.overrides],
        )


async def subscriptions_of(
    session: AsyncSession, org: models.Organization, now: datetime, *, also_ended: bool = False
) -> list[Subscription]:
    """What the organization is on, shown in the order of starts."""
    found = await standing_subscriptions(session, org.id, now, also_ended=also_ended)
    return [Subscription.of(org, standing) for standing in found]


async def subscription_of(
    session: AsyncSession, org: models.Organization, row: models.Subscription, now: datetime
) -> Subscription:
    """One of them, shown as it is in this session."""
    found = await standing_subscriptions(session, org.id, now, also_ended=True)
    return next(Subscription.of(org, x) for x in found if x.row.id == row.id)


async def override_of(
    session: AsyncSession, org: models.Organization, plan_slug: str, row: models.PriceOverride
) -> PriceOverride:
    """A row, shown with the price it is of."""
    plan = await get_plan(session, plan_slug)
    price = next(x for x in plan.prices if x.id == row.price_id)
    return PriceOverride.of(org, plan, price, row)


@strawberry.type(description="One line that a change adds, removes or alters.")
class LineEffect:
    """The changes of all lines and `offCycle` are together the difference."""

    before: LineItem | None = strawberry.field(description="As it was; null for a new line.")
    after: LineItem | None = strawberry.field(description="As it will be; null where it is gone.")
    difference: Money = strawberry.field(description="How much more it asks for.")

    @classmethod
    def of(cls, change: subscribing.LineChange) -> Self:
        """The domain's change, shown."""
        return cls(
            before=None if change.before is None else LineItem.of(change.before),
            after=None if change.after is None else LineItem.of(change.after),
            difference=Money.of(change.amount),
        )


@strawberry.type(description="What a change does to the money, up to the end of the open period.")
class ChangeEffect:
    """From one snapshot: difference = after - before + offCycle."""

    before: Money = strawberry.field(
        description="What invoices still to be issued, up to the open period's, would ask for."
    )
    after: Money = strawberry.field(description="What they ask for with the change.")
    off_cycle: Money | None = strawberry.field(
        description="What is invoiced at once; null for nothing."
    )
    difference: Money = strawberry.field(description="How much more it costs, all in all.")
    lines: list[LineEffect] = strawberry.field(description="The lines that differ.")

    @classmethod
    def of(cls, effect: subscribing.Effect[Any]) -> Self:
        """The domain's effect, shown."""
        return cls(
            before=Money.of(effect.total_before),
            after=Money.of(effect.total_after),
            off_cycle=None if effect.off_cycle is None else Money.of(effect.off_cycle),
            difference=Money.of(effect.difference),
            lines=[LineEffect.of(change) for change in effect.lines],
        )
