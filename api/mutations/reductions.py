"""Giving coupons, credit and tax rates, for staff; setting the maximum bill, for its payers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from decimal import Decimal

import strawberry
from sqlalchemy.ext.asyncio import AsyncSession

from api.accounts import organization_row
from api.context import Context, Info
from api.errors import Payload, RefusalsAsData
from api.reductions import Coupon, Grant, MaximumBill, TaxRate
from billing import capping, coupons, credits, models, taxes
from billing.models import Scope
from billing.rules.reductions import GrantKind


@strawberry.input(description="A coupon: exactly one of percent and amount.")
class CreateCouponInput:
    """The code makes it safe to send again."""

    organization: str = strawberry.field(description="The organization's slug.")
    code: str = strawberry.field(
        description="Yours, unique in the organization: the same code and body are one coupon;"
        " with another body it is a CONFLICT."
    )
    name: str = strawberry.field(description="As invoices will show it.")
    percent: Decimal | None = strawberry.field(
        default=None, description='Above 0, at most 100, such as "12.5".'
    )
    amount: Decimal | None = strawberry.field(
        default=None, description='Major units off each invoice, such as "10.00".'
    )
    invoices_max: int | None = strawberry.field(
        default=None,
        description="How many invoices with something to reduce; left out: until it is ended.",
    )


@strawberry.type(description="The coupon, or why not.")
class CreateCouponPayload(Payload):
    """The open period has it at once."""

    coupon: Coupon | None = strawberry.field(default=None, description="What was given.")


@strawberry.input(description="Which coupon of whom.")
class EndCouponInput:
    """Issued invoices keep it."""

    organization: str = strawberry.field(description="The organization's slug.")
    code: str = strawberry.field(description="The coupon's.")


@strawberry.type(description="The coupon, or why not.")
class EndCouponPayload(Payload):
    """Ended."""

    coupon: Coupon | None = strawberry.field(default=None, description="What was ended.")


@strawberry.input(description="Credit to be given.")
class GrantCreditInput:
    """The code makes it safe to send again."""

    organization: str = strawberry.field(description="The organization's slug.")
    code: str = strawberry.field(
        description="Yours, unique in the organization: the same code and body give once; with"
        " another body it is a CONFLICT."
    )
    name: str = strawberry.field(description="As invoices will show it.")
    kind: GrantKind = strawberry.field(description="Whether it is drawn before or after tax.")
    amount: Decimal = strawberry.field(description='Major units, above zero, such as "20.00".')
    meter: str | None = strawberry.field(
        default=None, description="The one meter it may pay, by slug; left out: everything."
    )
    priority: int = strawberry.field(default=0, description="0 (drawn first) to 999.")
    valid_from: datetime | None = strawberry.field(default=None, description="Now if left out.")
    expires_at: datetime | None = strawberry.field(default=None, description="Never if left out.")


@strawberry.type(description="The grant, or why not.")
class GrantCreditPayload(Payload):
    """Drawn when invoices are issued."""

    grant: Grant | None = strawberry.field(default=None, description="What was given.")


@strawberry.input(description="A tax rate. It takes the place of one with the same name.")
class SetTaxRateInput:
    """Sent again it changes nothing."""

    organization: str = strawberry.field(description="The organization's slug.")
    name: str = strawberry.field(description="As invoices will show it, such as VAT.")
    percent: Decimal = strawberry.field(description='Above 0, at most 100, such as "19".')


@strawberry.type(description="The rate, or why not.")
class SetTaxRatePayload(Payload):
    """The open period has it at once."""

    tax_rate: TaxRate | None = strawberry.field(default=None, description="What was set.")


@strawberry.input(description="Which rate of whom.")
class EndTaxRateInput:
    """Issued invoices keep it."""

    organization: str = strawberry.field(description="The organization's slug.")
    name: str = strawberry.field(description="The rate's.")


@strawberry.type(description="The rate, or why not.")
class EndTaxRatePayload(Payload):
    """Ended."""

    tax_rate: TaxRate | None = strawberry.field(default=None, description="What was ended.")


@strawberry.input(description="The most that each period may cost, before tax.")
class SetMaximumBillInput:
    """From this period on; sent again it changes nothing."""

    organization: str = strawberry.field(description="The organization's slug.")
    amount: Decimal | None = strawberry.field(
        description='Major units, such as "50.00", at least the fixed fees; null removes it.'
    )


@strawberry.type(description="The maximum as it holds now, or why not.")
class SetMaximumBillPayload(Payload):
    """`amount` may be above what was asked for: what is owed already is not taken back."""

    maximum_bill: MaximumBill | None = strawberry.field(
        default=None, description="How the open period stands with it."
    )


@strawberry.type
class ReductionMutations:
    """Money given: for staff. The maximum: for those with billing:write."""

    @strawberry.mutation(
        description="Give a coupon. Staff only.",
        extensions=[RefusalsAsData(CreateCouponPayload)],
    )
    async def create_coupon(self, info: Info, input: CreateCouponInput) -> CreateCouponPayload:
        """Audited."""
        context = info.context
        new = coupons.NewCoupon(
            code=input.code,
            name=input.name,
            percent=input.percent,
            amount=input.amount,
            invoices_max=input.invoices_max,
        )
        async with _changing(context, input.organization) as (session, org):
            row = await coupons.create_coupon(
                session, org, new, actor=context.viewer.actor, now=context.now
            )
        return CreateCouponPayload(coupon=Coupon.of(row, org.currency))

    @strawberry.mutation(
        description="End a coupon: no further invoice has it. Staff only.",
        extensions=[RefusalsAsData(EndCouponPayload)],
    )
    async def end_coupon(self, info: Info, input: EndCouponInput) -> EndCouponPayload:
        """Audited."""
        context = info.context
        async with _changing(context, input.organization) as (session, org):
            row = await coupons.end_coupon(
                session, org, input.code, actor=context.viewer.actor, now=context.now
            )
        return EndCouponPayload(coupon=Coupon.of(row, org.currency))

    @strawberry.mutation(
        description="Give credit. Staff only.",
        extensions=[RefusalsAsData(GrantCreditPayload)],
    )
    async def grant_credit(self, info: Info, input: GrantCreditInput) -> GrantCreditPayload:
        """Audited, and in the ledger."""
        context = info.context
        new = credits.NewGrant(
            code=input.code,
            name=input.name,
            kind=input.kind,
            amount=input.amount,
            meter=input.meter,
            priority=input.priority,
            valid_from=input.valid_from,
            expires_at=input.expires_at,
        )
        async with _changing(context, input.organization) as (session, org):
            row = await credits.grant_credit(
                session, org, new, actor=context.viewer.actor, now=context.now
            )
        return GrantCreditPayload(grant=Grant.of(row, input.meter, org.currency))

    @strawberry.mutation(
        description="Tax what is invoiced from now on. Staff only.",
        extensions=[RefusalsAsData(SetTaxRatePayload)],
    )
    async def set_tax_rate(self, info: Info, input: SetTaxRateInput) -> SetTaxRatePayload:
        """Audited."""
        context = info.context
        async with _changing(context, input.organization) as (session, org):
            row = await taxes.set_tax_rate(
                session, org, input.name, input.percent, actor=context.viewer.actor, now=context.now
            )
        return SetTaxRatePayload(tax_rate=TaxRate.of(row))

    @strawberry.mutation(
        description="End a tax rate: no further invoice has it. Staff only.",
        extensions=[RefusalsAsData(EndTaxRatePayload)],
    )
    async def end_tax_rate(self, info: Info, input: EndTaxRateInput) -> EndTaxRatePayload:
        """Audited."""
        context = info.context
        async with _changing(context, input.organization) as (session, org):
            row = await taxes.end_tax_rate(
                session, org, input.name, actor=context.viewer.actor, now=context.now
            )
        return EndTaxRatePayload(tax_rate=TaxRate.of(row))

    @strawberry.mutation(
        description="Set the most that each period may cost, or remove it. It stops nothing: usage"
        " above it is free. Needs billing:write.",
        extensions=[RefusalsAsData(SetMaximumBillPayload)],
    )
    async def set_maximum_bill(
        self, info: Info, input: SetMaximumBillInput
    ) -> SetMaximumBillPayload:
        """What was forgiven stays so, what is owed already too."""
        context = info.context
        async with context.reading() as session:
            org = await organization_row(context, session, input.organization)
        context.viewer.require(Scope.BILLING_WRITE, org.id)
        async with context.runtime.sessions.begin() as session:
            change = await capping.set_cap(
                session, org, input.amount, actor=context.viewer.actor, now=context.now
            )
        await context.runtime.nudges.moved([org.id])
        return SetMaximumBillPayload(maximum_bill=MaximumBill.of(change.standing, org.currency))


@asynccontextmanager
async def _changing(
    context: Context, slug: str
) -> AsyncIterator[tuple[AsyncSession, models.Organization]]:
    """Staff change an organization's money; pages that show it are told afterwards."""
    context.viewer.require_ops()
    async with context.runtime.sessions.begin() as session:
        org = await organization_row(context, session, slug)
        yield session, org
    await context.runtime.nudges.moved([org.id])
