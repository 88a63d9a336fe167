"""Selling items once, starting subscriptions, closing periods."""

from datetime import datetime
from decimal import Decimal
from typing import Self

import strawberry

from api.accounts import organization_row
from api.context import Context, Info
from api.errors import Payload, RefusalsAsData
from api.invoices import Invoice
from api.money import Money
from api.nodes import global_id
from api.scalars import CurrencyCode
from billing import closing, models, one_offs, subscribing
from billing.ids import OrgId
from billing.invoices import get_invoice
from billing.models import Scope
from billing.rules import money


@strawberry.type(description="Something sold once.")
class OneOffItem:
    """Billed with the period it was incurred in, or the next one to close."""

    id: strawberry.ID = strawberry.field(description="Opaque and stable.")
    idempotency_key: str = strawberry.field(description="As it was given.")
    description: str = strawberry.field(description="As it will be on the invoice.")
    amount: Money = strawberry.field(description="What it costs.")
    incurred_at: datetime = strawberry.field(description="When it was sold.")

    @classmethod
    def of(cls, row: models.OneOffItem) -> Self:
        """A row, shown."""
        return cls(
            id=global_id("OneOffItem", row.org_id, row.id),
            idempotency_key=row.idempotency_key,
            description=row.description,
            amount=Money.of(money.Money(row.amount_minor, row.currency)),
            incurred_at=row.incurred_at,
        )


@strawberry.type(description="An organization on a plan.")
class Subscription:
    """Several may be active, as long as no meter is priced twice."""

    id: strawberry.ID = strawberry.field(description="Opaque and stable.")
    plan: str = strawberry.field(description="The plan's slug.")
    starts_at: datetime = strawberry.field(description="The whole UTC hour it starts with.")
    ends_at: datetime | None = strawberry.field(description="When it ended; null while it runs.")


@strawberry.input(description="Something to be sold once.")
class CreateOneOffItemInput:
    """The key makes it safe to send again."""

    organization: str = strawberry.field(description="The organization's slug.")
    description: str = strawberry.field(description="As it will be on the invoice.")
    amount: Decimal = strawberry.field(description='Major units, above zero, such as "12.50".')
    currency: CurrencyCode = strawberry.field(description="Must be the organization's.")
    idempotency_key: str = strawberry.field(
        description="Yours, unique in the organization: the same key and body sell once;"
        " with another body it is a CONFLICT."
    )
    incurred_at: datetime | None = strawberry.field(
        default=None, description="When it was sold; now if left out."
    )


@strawberry.type(description="The item, or why not.")
class CreateOneOffItemPayload(Payload):
    """The same item for the same key and body."""

    item: OneOffItem | None = strawberry.field(default=None, description="What was sold.")


@strawberry.input(description="Which plan, for whom, from when.")
class StartSubscriptionInput:
    """Starts round down to a whole UTC hour."""

    organization: str = strawberry.field(description="The organization's slug.")
    plan: str = strawberry.field(description="The plan's slug.")
    starts_at: datetime | None = strawberry.field(
        default=None, description="Not in the future and not in a closed period; now if left out."
    )


@strawberry.type(description="The subscription, or why not.")
class StartSubscriptionPayload(Payload):
    """Fees in advance are invoiced at once."""

    subscription: Subscription | None = strawberry.field(
        default=None, description="What was started."
    )


@strawberry.input(description="Which period of whom.")
class ClosePeriodInput:
    """Periods are closed in order."""

    organization: str = strawberry.field(description="The organization's slug.")
    period_end: datetime = strawberry.field(description="The end of the ended period.")


@strawberry.type(description="The invoice, or why not.")
class ClosePeriodPayload(Payload):
    """Frozen and numbered."""

    invoice: Invoice | None = strawberry.field(default=None, description="What was issued.")


@strawberry.type
class ChargeMutations:
    """Money: one-off items for those with billing:write, the rest for staff."""

    @strawberry.mutation(
        description="Sell something once. Needs billing:write.",
        extensions=[RefusalsAsData(CreateOneOffItemPayload)],
    )
    async def create_one_off_item(
        self,
        info: Info,
        input: CreateOneOffItemInput,
    ) -> CreateOneOffItemPayload:
        """The figures of the organization have moved: pages are told."""
        context = info.context
        item = one_offs.NewOneOff(
            description=input.description,
            amount=input.amount,
            currency=input.currency,
            idempotency_key=input.idempotency_key,
            incurred_at=input.incurred_at,
        )
        async with context.runtime.sessions.begin() as session:
            org = await organization_row(context, session, input.organization)
            context.viewer.require(Scope.BILLING_WRITE, org.id)
            row = await one_offs.add_one_off(
                session, org, item, actor=context.viewer.actor, now=context.now
            )
        await context.runtime.nudges.moved([org.id])
        return CreateOneOffItemPayload(item=OneOffItem.of(row))

    @strawberry.mutation(
        description="Put an organization on a plan. Staff only.",
        extensions=[RefusalsAsData(StartSubscriptionPayload)],
    )
    async def start_subscription(
        self,
        info: Info,
        input: StartSubscriptionInput,
    ) -> StartSubscriptionPayload:
        """Fees in advance for the rest of the period are invoiced at once."""
        context = info.context
        context.viewer.require_ops()
        async with context.runtime.sessions.begin() as session:
            org = await organization_row(context, session, input.organization)
            row = await subscribing.start_subscription(
                session,
                org,
                input.plan,
                input.starts_at or context.now,
                actor=context.viewer.actor,
                now=context.now,
            )
        await _invoiced(context, org.id)
        return StartSubscriptionPayload(
            subscription=Subscription(
                id=global_id("Subscription", org.id, row.id),
                plan=input.plan,
                starts_at=row.starts_at,
                ends_at=row.ends_at,
            )
        )

    @strawberry.mutation(
        description="Issue an ended period's invoice without waiting for its grace. Staff only.",
        extensions=[RefusalsAsData(ClosePeriodPayload)],
    )
    async def close_period(
        self,
        info: Info,
        input: ClosePeriodInput,
    ) -> ClosePeriodPayload:
        """From one snapshot, by the function that gave the estimate."""
        context = info.context
        context.viewer.require_ops()
        async with context.reading() as session:
            org = await organization_row(context, session, input.organization)
        async with context.runtime.sessions.begin() as session:
            closed = await closing.close_period_now(
                session, org, input.period_end, actor=context.viewer.actor, now=context.now
            )
        await _invoiced(context, org.id)
        async with context.reading() as session:
            await closing.refuse_held(session, closed)
            return ClosePeriodPayload(
                invoice=Invoice.of(await get_invoice(session, org.id, closed.id))
            )


async def _invoiced(context: Context, org_id: OrgId) -> None:
    """What was issued need not wait for the next sweep to be sent, nor pages to be told."""
    await context.runtime.nudges.enqueue("push_invoices")
    await context.runtime.nudges.moved([org_id])
