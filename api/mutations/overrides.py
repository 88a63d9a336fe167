"""Prices of one organization's own, set by staff: each with its effect, or only that."""

from dataclasses import fields
from datetime import datetime
from decimal import Decimal

import strawberry
from sqlalchemy.ext.asyncio import AsyncSession

from api.context import Info
from api.effects import staff_change
from api.errors import Payload, RefusalsAsData
from api.mutations.subscriptions import PREVIEW
from api.subscriptions import ChangeEffect, PriceOverride, override_of
from billing import models, subscribing
from billing.rules.prices import Model, Timing

strawberry.enum(Model, description="How a quantity becomes an amount.")
strawberry.enum(Timing, description="Whether a fee is billed with the period before, or its own.")

FROM = (
    "Rounded up to a whole UTC hour: in the open period, or later; a fee in advance when what is"
    " paid is over. Now if left out."
)


@strawberry.input(description="One rung of a ladder.")
class TierInput:
    """Tiers follow each other; only the last has no bound."""

    up_to: Decimal | None = strawberry.field(
        default=None, description="Its upper bound, inclusive; none for the last."
    )
    unit_amount: Decimal = strawberry.field(description="Major units for one.")
    flat_amount: Decimal | None = strawberry.field(
        default=None, description="Major units, once, when the tier is entered."
    )


@strawberry.input(description="What a price asks for: the fields of a price book's version.")
class PriceTermsInput:
    """Which fields there may be depends on the model."""

    model: Model = strawberry.field(description="How a quantity becomes an amount.")
    unit_amount: Decimal | None = strawberry.field(
        default=None, description="Major units for one, of PER_UNIT; for one package, of PACKAGE."
    )
    package_size: Decimal | None = strawberry.field(
        default=None, description="Units in a package, of PACKAGE."
    )
    tiers: list[TierInput] | None = strawberry.field(
        default=None, description="The ladder, of GRADUATED and VOLUME."
    )
    included: Decimal | None = strawberry.field(
        default=None, description="Units a whole period has for nothing."
    )
    minimum: Decimal | None = strawberry.field(
        default=None, description="Major units a whole period costs at least."
    )
    maximum: Decimal | None = strawberry.field(
        default=None, description="Major units a whole period costs at most."
    )
    amount: Decimal | None = strawberry.field(
        default=None, description="Major units a whole period, of FLAT."
    )
    timing: Timing | None = strawberry.field(
        default=None, description="When it is billed, of FLAT: as the plan's own."
    )


@strawberry.input(description="Which price of whose, and what it is to ask for.")
class OverridePriceInput:
    """In the organization's currency."""

    organization: str = strawberry.field(description="The organization's slug.")
    plan: str = strawberry.field(description="The plan's slug.")
    price: str = strawberry.field(description="The price's slug.")
    terms: PriceTermsInput = strawberry.field(description="What it is to ask for.")
    reason: str = strawberry.field(description="Why, for people; kept for ever.")
    effective_from: datetime | None = strawberry.field(default=None, description=FROM)
    preview: bool = strawberry.field(default=False, description=PREVIEW)


@strawberry.input(description="Which price of whose is to be the plan's again.")
class EndPriceOverrideInput:
    """From an hour on."""

    organization: str = strawberry.field(description="The organization's slug.")
    plan: str = strawberry.field(description="The plan's slug.")
    price: str = strawberry.field(description="The price's slug.")
    reason: str = strawberry.field(description="Why, for people; kept for ever.")
    effective_from: datetime | None = strawberry.field(default=None, description=FROM)
    preview: bool = strawberry.field(default=False, description=PREVIEW)


@strawberry.type(description="The organization's own price and what it does, or why not.")
class PriceOverridePayload(Payload):
    """Of a preview, as it would be."""

    override: PriceOverride | None = strawberry.field(
        default=None, description="As it is now, or would be."
    )
    effect: ChangeEffect | None = strawberry.field(
        default=None, description="What it does to the money."
    )


@strawberry.type
class OverrideMutations:
    """For staff, audited, each with its effect."""

    @strawberry.mutation(
        description="Give an organization terms of its own for one price. Staff only.",
        extensions=[RefusalsAsData(PriceOverridePayload)],
    )
    async def override_price(self, info: Info, input: OverridePriceInput) -> PriceOverridePayload:
        """The same again changes nothing."""
        new = subscribing.NewOverride(
            plan=input.plan,
            price=input.price,
            terms=_given(input.terms),
            reason=input.reason,
            effective_from=input.effective_from,
        )
        return await _overridden(info, input.organization, new, is_preview=input.preview)

    @strawberry.mutation(
        description="Let the plan's own terms of a price hold for an organization again."
        " Staff only.",
        extensions=[RefusalsAsData(PriceOverridePayload)],
    )
    async def end_price_override(
        self, info: Info, input: EndPriceOverrideInput
    ) -> PriceOverridePayload:
        """The same again changes nothing."""
        new = subscribing.NewOverride(
            plan=input.plan,
            price=input.price,
            terms=None,
            reason=input.reason,
            effective_from=input.effective_from,
        )
        return await _overridden(info, input.organization, new, is_preview=input.preview)


async def _overridden(
    info: Info, organization: str, new: subscribing.NewOverride, *, is_preview: bool
) -> PriceOverridePayload:
    actor, now = info.context.viewer.actor, info.context.now

    async def act(session: AsyncSession, org: models.Organization) -> PriceOverride:
        row = await subscribing.override_price(session, org, new, actor=actor, now=now)
        return await override_of(session, org, new.plan, row)

    effect = await staff_change(info.context, organization, act, is_preview=is_preview)
    return PriceOverridePayload(override=effect.result, effect=ChangeEffect.of(effect))


def _given(terms: PriceTermsInput | TierInput) -> dict[str, object]:
    """As a price book has them: every figure a text."""
    given: dict[str, object] = {}
    for name in (field.name for field in fields(terms)):
        value = getattr(terms, name)
        if isinstance(value, list):
            given[name] = [_given(tier) for tier in value]
        elif value is not None:
            given[name] = f"{value:f}" if isinstance(value, Decimal) else str(value)
    return given
