"""Line items with their arithmetic: the same type on the estimate and on the invoice."""

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Self

import strawberry

from api.context import Info
from api.cost import priced
from api.explanations import EXPLAIN_COST, Explanation
from api.money import Money
from api.periods import Period
from api.scalars import exactly
from billing import models
from billing.accounts import get_organization_by_id
from billing.charges import Basis
from billing.explaining import find_evidence
from billing.ids import OrgId
from billing.invoices import draft_line_of
from billing.models import Scope
from billing.rules import money, rating
from billing.rules.lines import DraftLine, LineKind
from billing.rules.money import Currency
from billing.rules.rating import StepKind

strawberry.enum(LineKind, description="What a line is for.")
strawberry.enum(StepKind, description="What one step of a line's arithmetic does.")


@strawberry.type(description="One step of a line's arithmetic: quantity x unitAmount.")
class Step:
    """Steps add up to the line's `exactAmount`."""

    kind: StepKind = strawberry.field(description="What the step does.")
    quantity: Decimal = strawberry.field(
        description="Units in this step; for PRORATION the hours charged, for PACKAGE the packages,"
        " for MINIMUM and MAXIMUM the bound itself in major units."
    )
    unit_amount: Decimal = strawberry.field(
        description="Major units for one; for PRORATION the whole period's fee, for MINIMUM and"
        " MAXIMUM 0."
    )
    exact_amount: Decimal = strawberry.field(
        description="What the step comes to, unrounded, to 12 decimals."
    )
    up_to: Decimal | None = strawberry.field(
        description="The tier's upper bound, inclusive; null when it has none; for PACKAGE the"
        " units of one package."
    )
    of_hours: int | None = strawberry.field(
        description="For PRORATION the hours of the whole period; else null."
    )

    @classmethod
    def of(cls, step: rating.Step, currency: Currency) -> Self:
        """The domain's step, shown in major units."""
        return cls(
            kind=step.kind,
            quantity=exactly(step.quantity),
            unit_amount=exactly(step.unit_amount),
            exact_amount=exact_major(step.exact_minor, currency),
            up_to=None if step.up_to is None else exactly(step.up_to),
            of_hours=step.of,
        )


@dataclass(frozen=True, slots=True)
class Origin:
    """Whose line it is, and as of when it was counted."""

    org_id: OrgId
    basis: Basis


@strawberry.type(description="One line of an invoice, or of the estimate that will become one.")
class LineItem:
    """`key` and `segment` name it stably, before and after it is invoiced."""

    key: str = strawberry.field(
        description="The price version, such as pro/egress/USD@2, or the one-off item's own key."
    )
    segment: int = strawberry.field(
        description="Counts from 0 the parts of a period that a price change splits."
    )
    kind: LineKind = strawberry.field(description="What it is for.")
    description: str = strawberry.field(description="For people.")
    product: str | None = strawberry.field(description="What it is grouped under; null for none.")
    period: Period = strawberry.field(description="The time it is for.")
    quantity: Decimal | None = strawberry.field(description="What was counted; null for none.")
    unit: str | None = strawberry.field(description="What the quantity counts; null for none.")
    amount: Money = strawberry.field(description="Rounded once, half away from zero.")
    exact_amount: Decimal = strawberry.field(
        description="Major units before rounding, to 12 decimals."
    )
    reduced: Money = strawberry.field(
        description="The part of it that coupons and the maximum bill took, by lines of their own."
    )
    granted: Money = strawberry.field(
        description="The part of it that promotional grants paid, by lines of their own."
    )
    net: Money = strawberry.field(description="What is left of it, before tax.")
    corrects: str | None = strawberry.field(
        description="The number of the invoice that a TRUE_UP corrects; else null."
    )
    steps: list[Step] = strawberry.field(description="The arithmetic that leads to the amount.")
    line: strawberry.Private[DraftLine]
    origin: strawberry.Private[Origin | None]

    @classmethod
    def of(cls, line: DraftLine, origin: Origin | None = None) -> Self:
        """A rated line, shown; without an origin it is of nobody, and cannot be explained."""
        currency = line.amount.currency
        return cls(
            line=line,
            origin=origin,
            key=line.key,
            segment=line.segment,
            kind=line.kind,
            description=line.description,
            product=line.product,
            period=Period.of(line.span),
            quantity=None if line.quantity is None else exactly(line.quantity),
            unit=line.unit,
            amount=Money.of(line.amount),
            exact_amount=exact_major(line.exact_minor, currency),
            reduced=Money.of(money.Money(line.reduced_minor, currency)),
            granted=Money.of(money.Money(line.granted_minor, currency)),
            net=Money.of(money.Money(line.net_minor, currency)),
            corrects=line.corrects,
            steps=[Step.of(step, currency) for step in line.steps],
        )

    @classmethod
    def of_row(cls, row: models.InvoiceLine, invoice: models.Invoice) -> Self:
        """An invoiced line, shown just as it was on the estimate."""
        origin = Origin(invoice.org_id, Basis.of_invoice(invoice))
        return cls.of(draft_line_of(row, invoice.currency), origin)

    @strawberry.field(
        description="What it was counted from; null for what no event is behind, and on previews."
        " Needs billing:read and usage:read.",
        metadata=priced(EXPLAIN_COST),
    )
    async def explain(self, info: Info) -> Explanation | None:
        """For usage, and corrections of usage."""
        if self.origin is None:
            return None
        info.context.viewer.require(Scope.BILLING_READ, self.origin.org_id)
        info.context.viewer.require(Scope.USAGE_READ, self.origin.org_id)
        async with info.context.reading() as session:
            org = await get_organization_by_id(session, self.origin.org_id)
            found = await find_evidence(session, org, self.line, self.origin.basis)
        return None if found is None else Explanation.of(found)


def exact_major(exact_minor: Fraction, currency: Currency) -> Decimal:
    """Unrounded minor units as major ones, to 12 decimals."""
    return exactly(exact_minor / currency.minor_per_major)
