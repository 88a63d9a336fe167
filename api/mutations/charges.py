"""Selling items once, closing periods."""

from datetime import datetime
from decimal import Decimal
from typing import Self

import strawberry

from api.accounts import organization_row
from api.context import Info
from api.errors import Payload, RefusalsAsData
from api.invoices import Invoice
from api.money import Money
from api.nodes import global_id
from api.scalars import CurrencyCode
from billing import closing, models, one_offs
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
        await context.invoiced(org.id)
        async with context.reading() as session:
            await closing.refuse_held(session, closed)
            return ClosePeriodPayload(
                invoice=Invoice.of(await get_invoice(session, org.id, closed.id))
            )
