"""Invoices, and how far each is in Stripe."""

from datetime import datetime
from typing import Self
from uuid import UUID

import strawberry

from api.connections import Connection, Keyset, Page
from api.context import Info
from api.corrections import CreditNote, InvoiceHold
from api.lines import LineItem
from api.money import Money
from api.nodes import Node, global_id
from api.payments import PaymentFacts
from api.periods import Period
from api.scalars import instant_text
from billing import models
from billing.ids import InvoiceId, OrgId
from billing.invoices import get_invoice, get_invoice_by_number, invoices_for_org
from billing.models import InvoiceKind, InvoiceStatus, SyncState

strawberry.enum(
    InvoiceStatus,
    description=(
        "CLOSING has no lines yet; from OPEN on only the status changes. DRAFT is never answered:"
        " the open period is `currentCharges`."
    ),
)
strawberry.enum(InvoiceKind, description="A period's own invoice, or one with a cause of its own.")
strawberry.enum(SyncState, description="How far an invoice is on its way to Stripe.")

NEWEST_FIRST = Keyset("invoices", size=2)


@strawberry.type(description="Why the last attempt to send an invoice to Stripe failed.")
class SyncError:
    """For the people who mend it."""

    code: str = strawberry.field(description="Stable, for programs.")
    message: str = strawberry.field(description="For people.")

    @classmethod
    def of(cls, row: models.InvoiceSync) -> Self | None:
        """None when the last attempt did not fail."""
        if row.error_code is None:
            return None
        return cls(code=row.error_code, message=row.error_message or "")


@strawberry.type(description="How far an invoice is in Stripe, and what Stripe said of it.")
class StripeSync:
    """Apart from the invoice: no trouble here changes what is owed."""

    sync_state: SyncState = strawberry.field(description="How far it is.")
    stripe_invoice_id: str | None = strawberry.field(description="Stripe's id, once it has one.")
    hosted_url: str | None = strawberry.field(description="Stripe's page to pay it on.")
    attempts: int = strawberry.field(description="How often sending it has been tried.")
    next_attempt_at: datetime | None = strawberry.field(
        description="When it is tried next; null when nothing is left to try."
    )
    error: SyncError | None = strawberry.field(description="Of the last attempt; null for none.")
    payment_attempts: int = strawberry.field(description="How often collecting it was tried.")
    next_payment_at: datetime | None = strawberry.field(
        description="When collecting is tried again by itself; null when it is not."
    )

    @classmethod
    def of(cls, row: models.InvoiceSync) -> Self:
        """A sync row, shown."""
        waits = row.state in {SyncState.PENDING, SyncState.PUSHING}
        return cls(
            sync_state=row.state,
            stripe_invoice_id=row.stripe_invoice_id,
            hosted_url=row.hosted_invoice_url,
            attempts=row.attempts,
            next_attempt_at=row.next_attempt_at if waits else None,
            error=SyncError.of(row),
            payment_attempts=row.payment_attempts,
            next_payment_at=row.next_payment_at,
        )


@strawberry.type(description="What one organization owes for one period, or for one cause.")
class Invoice(Node):
    """Immutable once issued, but for its status."""

    row: strawberry.Private[models.Invoice]
    number: str | None = strawberry.field(description="Gapless per organization; null in CLOSING.")
    kind: InvoiceKind = strawberry.field(description="A period's, or with a cause of its own.")
    status: InvoiceStatus = strawberry.field(description="Where it stands.")
    total: Money | None = strawberry.field(
        description="The sum of its rounded lines; null in CLOSING, while it is still counted."
    )
    period: Period = strawberry.field(description="The time it is for.")
    issued_at: datetime | None = strawberry.field(description="When it was frozen and numbered.")
    paid_at: datetime | None = strawberry.field(description="When it was paid or nothing was due.")
    voided_at: datetime | None = strawberry.field(description="When it was withdrawn; null if not.")
    void_reason: str | None = strawberry.field(
        description="Why it was withdrawn; null also when that was done in Stripe."
    )
    digest: str | None = strawberry.field(
        description="The estimate's digest at the moment of closing; null in CLOSING."
    )
    stripe: StripeSync | None = strawberry.field(description="How far in Stripe; null in CLOSING.")

    @classmethod
    def of(cls, row: models.Invoice) -> Self:
        """A row with its `sync` loaded, shown."""
        return cls(
            row=row,
            id=global_id("Invoice", row.org_id, row.id),
            number=row.number,
            kind=row.kind,
            status=row.status,
            total=None if row.status is InvoiceStatus.CLOSING else Money.of(row.total),
            period=Period.of(row.period),
            issued_at=row.issued_at,
            paid_at=row.paid_at,
            voided_at=row.voided_at,
            void_reason=row.void_reason,
            digest=row.digest,
            stripe=StripeSync.of(row.sync) if row.sync else None,
        )

    @strawberry.field(description="Its lines in order, with their arithmetic.")
    async def lines(self, info: Info) -> list[LineItem]:
        """One query for the lines of all invoices of the request."""
        rows = await info.context.loaders.lines.load(self.row.id)
        return [LineItem.of_row(row, self.row) for row in rows]

    @strawberry.field(description="Money given back on it, in the order it was.")
    async def credit_notes(self, info: Info) -> list[CreditNote]:
        """Two queries for the corrections of all invoices of the request."""
        found = await info.context.loaders.corrections.load(self.row.id)
        return [CreditNote.of(row, self.row.currency) for row in found.credit_notes]

    @strawberry.field(
        description="What is left to pay: the total less what reduces it, nothing once paid or"
        " void; null in CLOSING."
    )
    async def amount_due(self, info: Info) -> Money | None:
        """By the same two queries."""
        if self.row.status is InvoiceStatus.CLOSING:
            return None
        found = await info.context.loaders.corrections.load(self.row.id)
        return Money.of(found.amount_due(self.row))

    @strawberry.field(description="The number of the voided invoice whose period this one issues.")
    async def replaces(self, info: Info) -> str | None:
        """By the same two queries."""
        return (await info.context.loaders.corrections.load(self.row.id)).replaces

    @strawberry.field(description="The number of the invoice that was issued instead of this one.")
    async def replaced_by(self, info: Info) -> str | None:
        """By the same two queries."""
        return (await info.context.loaders.corrections.load(self.row.id)).replaced_by

    @strawberry.field(
        description="What Stripe says was paid, refunded and disputed; null until it was asked."
    )
    async def payment(self, info: Info) -> PaymentFacts | None:
        """One query for the facts of all invoices of the request."""
        row = await info.context.loaders.payments.load(self.row.id)
        return None if row is None else PaymentFacts.of(row, self.row)

    @strawberry.field(description="What held or holds it up; null unless you are staff.")
    async def holds(self, info: Info) -> list[InvoiceHold] | None:
        """One query for the holds of all invoices of the request."""
        if not info.context.viewer.is_staff:
            return None
        rows = await info.context.loaders.holds.load(self.row.id)
        return [InvoiceHold.of(row) for row in rows]


@strawberry.input(description="Which invoices; a field left out does not narrow.")
class InvoiceFilter:
    """What lists of invoices are narrowed by."""

    status: list[InvoiceStatus] | None = strawberry.field(default=None, description="Any of these.")


async def page_of_invoices(
    info: Info, org_id: OrgId, page: Page, filter_: InvoiceFilter | None
) -> Connection[Invoice]:
    """One organization's, newest first. Raises `Invalid` for a cursor that is none."""
    before = None if page.after is None else _position(page.after)
    statuses = filter_.status if filter_ else None
    async with info.context.reading() as session:
        rows = await invoices_for_org(
            session, org_id, limit=page.limit, before=before, statuses=statuses
        )
    return page.connection(rows, Invoice.of, _cursor)


async def invoice_by_number(info: Info, org_id: OrgId, number: str) -> Invoice:
    """Raises `NotFound`."""
    async with info.context.reading() as session:
        row = await get_invoice_by_number(session, org_id, number)
    info.context.loaders.lines.prime(row.id, row.lines)
    return Invoice.of(row)


async def invoice_by_id(info: Info, org_id: OrgId, invoice_id: InvoiceId) -> Invoice:
    """Raises `NotFound`."""
    async with info.context.reading() as session:
        row = await get_invoice(session, org_id, invoice_id)
    info.context.loaders.lines.prime(row.id, row.lines)
    return Invoice.of(row)


def _cursor(row: models.Invoice) -> str:
    return NEWEST_FIRST.cursor(instant_text(row.period_start), row.id.hex)


def _position(cursor: str) -> tuple[datetime, InvoiceId]:
    start, row_id = NEWEST_FIRST.position(cursor)
    try:
        return datetime.fromisoformat(start), InvoiceId(UUID(row_id))
    except ValueError:
        raise NEWEST_FIRST.refusal(cursor) from None
