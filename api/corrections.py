"""What corrects an invoice, or holds it up: credit notes, holds."""

from datetime import datetime
from typing import Self

import strawberry

from api.connections import First, Page
from api.context import Info
from api.money import Money
from api.nodes import global_id
from api.periods import Period
from billing import holds, models
from billing.models import CreditNoteKind, CreditNoteState, HoldReason
from billing.rules import money
from billing.rules.money import Currency

strawberry.enum(
    CreditNoteKind,
    description="Where the money goes: off what is to be paid, back by Stripe, or to the balance.",
)
strawberry.enum(CreditNoteState, description="How far a credit note is in Stripe.")
strawberry.enum(HoldReason, description="Why a close waits although its grace is over.")


@strawberry.type(description="Money given back on an issued invoice.")
class CreditNote:
    """Immutable; only how far it is in Stripe moves."""

    id: strawberry.ID = strawberry.field(description="Opaque and stable.")
    number: str = strawberry.field(description="Gapless per organization, such as ACME-CN-0001.")
    kind: CreditNoteKind = strawberry.field(description="Where the money goes.")
    amount: Money = strawberry.field(description="How much.")
    reason: str = strawberry.field(description="Why, for the customer.")
    state: CreditNoteState = strawberry.field(
        description="NOT_NEEDED: Stripe is not told, as of what is credited to the balance."
    )
    created_at: datetime = strawberry.field(description="When it was made.")

    @classmethod
    def of(cls, row: models.CreditNote, currency: Currency) -> Self:
        """A row, shown."""
        return cls(
            id=global_id("CreditNote", row.org_id, row.id),
            number=row.number,
            kind=row.kind,
            amount=Money.of(money.Money(row.amount_minor, currency)),
            reason=row.reason,
            state=row.state,
            created_at=row.recorded_at,
        )


@strawberry.type(description="One reason for which an invoice waits, and when it stops to.")
class InvoiceHold:
    """Goes by itself with its cause or at its deadline; or is released by staff, for good."""

    reason: HoldReason = strawberry.field(description="The kind of cause.")
    message: str = strawberry.field(description="The cause in words.")
    deadline: datetime | None = strawberry.field(description="Until when at most; null for never.")
    since: datetime = strawberry.field(description="When it began.")
    released_at: datetime | None = strawberry.field(description="When it ended; null if it holds.")
    released_by: str | None = strawberry.field(description="Who released it, or the system.")
    note: str | None = strawberry.field(description="Why it was released.")

    @classmethod
    def of(cls, row: models.InvoiceHold) -> Self:
        """A row, shown."""
        return cls(
            reason=row.reason,
            message=row.message,
            deadline=row.deadline,
            since=row.recorded_at,
            released_at=row.released_at,
            released_by=row.released_by,
            note=row.note,
        )


@strawberry.type(description="A hold that waits for a person or a source, and whom it stops.")
class OpenHold:
    """Nobody else is stopped by it."""

    organization: str = strawberry.field(description="The organization's slug.")
    period: Period = strawberry.field(description="The period whose invoice waits.")
    hold: InvoiceHold = strawberry.field(description="Why, and until when.")


async def holds_now(info: Info, first: First) -> list[OpenHold]:
    """Over all organizations, the longest first. Raises `Forbidden` unless asked by staff."""
    info.context.viewer.require_ops()
    async with info.context.reading() as session:
        rows = await holds.open_holds(session, limit=Page.asked(first, None).size)
    return [
        OpenHold(organization=org.slug, period=Period.of(invoice.period), hold=InvoiceHold.of(row))
        for org, invoice, row in rows
    ]
