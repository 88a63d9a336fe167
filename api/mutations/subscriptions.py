"""What an organization is on, changed by staff: each change with its effect, or only that."""

from datetime import datetime

import strawberry
from sqlalchemy.ext.asyncio import AsyncSession

from api.accounts import Organization
from api.context import Info
from api.effects import staff_change
from api.errors import Payload, RefusalsAsData
from api.subscriptions import ChangeEffect, Subscription, subscription_of
from billing import models, subscribing

PREVIEW = "Whether only the effect is wanted: then nothing is changed."


@strawberry.input(description="Which plan, for whom, from when.")
class StartSubscriptionInput:
    """Starts round down to a whole UTC hour."""

    organization: str = strawberry.field(description="The organization's slug.")
    plan: str = strawberry.field(description="The plan's slug.")
    starts_at: datetime | None = strawberry.field(
        default=None, description="Not in the future and not in a closed period; now if left out."
    )
    trial_ends_at: datetime | None = strawberry.field(
        default=None,
        description="Until then, rounded up to the hour, there are no fees; no trial if left out.",
    )
    preview: bool = strawberry.field(default=False, description=PREVIEW)


@strawberry.input(description="From which plan to which, for whom, when.")
class ChangeSubscriptionInput:
    """Both halves are on the next invoice to close."""

    organization: str = strawberry.field(description="The organization's slug.")
    from_plan: str = strawberry.field(description="The slug of the plan to leave.")
    plan: str = strawberry.field(description="The slug of the plan to be on.")
    at: datetime | None = strawberry.field(
        default=None,
        description="Rounded up to a whole UTC hour: in the open period, or later, such as its end;"
        " now if left out.",
    )
    preview: bool = strawberry.field(default=False, description=PREVIEW)


@strawberry.input(description="Which plan is to end, for whom, when.")
class CancelSubscriptionInput:
    """What was paid in advance and is not used comes back on the next invoice to close."""

    organization: str = strawberry.field(description="The organization's slug.")
    plan: str = strawberry.field(description="The plan's slug.")
    at: datetime | None = strawberry.field(
        default=None,
        description="Rounded up to a whole UTC hour: in the open period, or later; the end of the"
        " open period if left out.",
    )
    preview: bool = strawberry.field(default=False, description=PREVIEW)


@strawberry.input(description="Which plan is to go on, for whom.")
class ResumeSubscriptionInput:
    """Possible until it has ended."""

    organization: str = strawberry.field(description="The organization's slug.")
    plan: str = strawberry.field(description="The plan's slug.")
    preview: bool = strawberry.field(default=False, description=PREVIEW)


@strawberry.input(description="Whose books are to be closed, when.")
class CloseOrganizationInput:
    """Final."""

    organization: str = strawberry.field(description="The organization's slug.")
    at: datetime | None = strawberry.field(
        default=None,
        description="Rounded up to a whole UTC hour: in the open period, or later; now if left"
        " out.",
    )
    preview: bool = strawberry.field(default=False, description=PREVIEW)


@strawberry.type(description="The subscription and what it does to the bill, or why not.")
class SubscriptionPayload(Payload):
    """Of a preview, as it would be."""

    subscription: Subscription | None = strawberry.field(
        default=None, description="As it is now, or would be."
    )
    effect: ChangeEffect | None = strawberry.field(
        default=None, description="What the change does to the money."
    )


@strawberry.type(description="The organization and what closing it does, or why not.")
class CloseOrganizationPayload(Payload):
    """Of a preview, as it would be."""

    organization: Organization | None = strawberry.field(
        default=None, description="The one that is closed."
    )
    closed_at: datetime | None = strawberry.field(
        default=None, description="The whole UTC hour from which nothing is billed."
    )
    effect: ChangeEffect | None = strawberry.field(
        default=None, description="What closing does to the money."
    )


@strawberry.type
class SubscriptionMutations:
    """All for staff, audited, each with its effect."""

    @strawberry.mutation(
        description="Put an organization on a plan; fees in advance are invoiced at once."
        " Staff only.",
        extensions=[RefusalsAsData(SubscriptionPayload)],
    )
    async def start_subscription(
        self, info: Info, input: StartSubscriptionInput
    ) -> SubscriptionPayload:
        """For the rest of the period; nothing during a trial."""
        actor, now = info.context.viewer.actor, info.context.now

        async def act(session: AsyncSession, org: models.Organization) -> Subscription:
            row = await subscribing.start_subscription(
                session,
                org,
                input.plan,
                input.starts_at or now,
                actor=actor,
                now=now,
                trial_ends_at=input.trial_ends_at,
            )
            return await subscription_of(session, org, row, now)

        effect = await staff_change(info.context, input.organization, act, is_preview=input.preview)
        return _answer(effect)

    @strawberry.mutation(
        description="Move an organization from one plan to another. Staff only.",
        extensions=[RefusalsAsData(SubscriptionPayload)],
    )
    async def change_subscription(
        self, info: Info, input: ChangeSubscriptionInput
    ) -> SubscriptionPayload:
        """Answers the new subscription."""
        actor, now = info.context.viewer.actor, info.context.now

        async def act(session: AsyncSession, org: models.Organization) -> Subscription:
            row = await subscribing.change_plan(
                session, org, input.from_plan, input.plan, at=input.at, actor=actor, now=now
            )
            return await subscription_of(session, org, row, now)

        effect = await staff_change(info.context, input.organization, act, is_preview=input.preview)
        return _answer(effect)

    @strawberry.mutation(
        description="End a subscription, by default with the open period. Staff only.",
        extensions=[RefusalsAsData(SubscriptionPayload)],
    )
    async def cancel_subscription(
        self, info: Info, input: CancelSubscriptionInput
    ) -> SubscriptionPayload:
        """Until it has ended it can be resumed."""
        actor, now = info.context.viewer.actor, info.context.now

        async def act(session: AsyncSession, org: models.Organization) -> Subscription:
            row = await subscribing.cancel_subscription(
                session, org, input.plan, at=input.at, actor=actor, now=now
            )
            return await subscription_of(session, org, row, now)

        effect = await staff_change(info.context, input.organization, act, is_preview=input.preview)
        return _answer(effect)

    @strawberry.mutation(
        description="Let a subscription go on that was to end, or to be changed. Staff only.",
        extensions=[RefusalsAsData(SubscriptionPayload)],
    )
    async def resume_subscription(
        self, info: Info, input: ResumeSubscriptionInput
    ) -> SubscriptionPayload:
        """A change that was to come is withdrawn."""
        actor, now = info.context.viewer.actor, info.context.now

        async def act(session: AsyncSession, org: models.Organization) -> Subscription:
            row = await subscribing.resume_subscription(
                session, org, input.plan, actor=actor, now=now
            )
            return await subscription_of(session, org, row, now)

        effect = await staff_change(info.context, input.organization, act, is_preview=input.preview)
        return _answer(effect)

    @strawberry.mutation(
        description="Close an organization for good: the period it falls in is its last invoice."
        " Usage dated later is unpriced, and holds that invoice. Staff only.",
        extensions=[RefusalsAsData(CloseOrganizationPayload)],
    )
    async def close_organization(
        self, info: Info, input: CloseOrganizationInput
    ) -> CloseOrganizationPayload:
        """Everything it is on ends then."""
        actor, now = info.context.viewer.actor, info.context.now

        async def act(
            session: AsyncSession, org: models.Organization
        ) -> tuple[Organization, datetime | None]:
            row = await subscribing.close_organization(session, org, input.at, actor=actor, now=now)
            return Organization.of(row), row.closed_at

        effect = await staff_change(info.context, input.organization, act, is_preview=input.preview)
        closed, closed_at = effect.result
        return CloseOrganizationPayload(
            organization=closed, closed_at=closed_at, effect=ChangeEffect.of(effect)
        )


def _answer(effect: subscribing.Effect[Subscription]) -> SubscriptionPayload:
    return SubscriptionPayload(subscription=effect.result, effect=ChangeEffect.of(effect))
