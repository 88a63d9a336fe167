"""What has happened to an issued invoice since: credit notes, and who replaces whom."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from billing.ids import InvoiceId
from billing.models import (
    CreditNote,
    CreditNoteKind,
    CreditNoteState,
    Invoice,
    InvoiceStatus,
    Organization,
)
from billing.rules.money import Money


@dataclass(frozen=True, slots=True)
class InvoiceCorrections:
    """Of one invoice: its notes in the order they were made, and its neighbours by number.

    `is_reissued` is true also while the newer revision has no number yet.
    """

    credit_notes: tuple[CreditNote, ...] = ()
    replaces: str | None = None
    replaced_by: str | None = None
    is_reissued: bool = False

    def given_back(self, note: CreditNote, invoice: Invoice) -> Money:
        """What one of the notes is over, in the invoice's currency."""
        return Money(note.amount_minor, invoice.currency)

    def amount_due(self, invoice: Invoice) -> Money:
        """What is left to pay: the total less what reduces it; nothing once paid or void."""
        if invoice.status not in {InvoiceStatus.OPEN, InvoiceStatus.UNCOLLECTIBLE}:
            return Money(0, invoice.currency)
        reduced = [x.amount_minor for x in self.credit_notes if x.kind is CreditNoteKind.REDUCTION]
        return Money(invoice.total_minor - sum(reduced), invoice.currency)


async def corrections_of(session: AsyncSession, invoice: Invoice) -> InvoiceCorrections:
    """Of one invoice."""
    return (await corrections_by_invoice(session, [invoice.id]))[invoice.id]


async def corrections_by_invoice(
    session: AsyncSession, invoice_ids: Sequence[InvoiceId]
) -> dict[InvoiceId, InvoiceCorrections]:
    """Of several invoices in two queries."""
    notes: dict[InvoiceId, list[CreditNote]] = {id_: [] for id_ in invoice_ids}
    rows = await session.scalars(
        select(CreditNote)
        .where(CreditNote.invoice_id.in_(invoice_ids))
        .order_by(CreditNote.recorded_at, CreditNote.number)
    )
    for note in rows:
        notes[note.invoice_id].append(note)
    older, newer = aliased(Invoice), aliased(Invoice)
    neighbours = await session.execute(
        select(Invoice.id, older.number, newer.number, newer.id.is_not(None))
        .outerjoin(older, older.id == Invoice.replaces_id)
        .outerjoin(newer, newer.replaces_id == Invoice.id)
        .where(Invoice.id.in_(invoice_ids))
    )
    return {
        id_: InvoiceCorrections(tuple(notes[id_]), replaces, replaced_by, is_reissued)
        for id_, replaces, replaced_by, is_reissued in neighbours
    }


async def stuck_credit_notes(
    session: AsyncSession, *, limit: int
) -> Sequence[tuple[Organization, CreditNote]]:
    """Those that Stripe refused, or that are tried again, the oldest first: for staff."""
    rows = await session.execute(
        select(Organization, CreditNote)
        .join(Organization, Organization.id == CreditNote.org_id)
        .where(
            CreditNote.state.in_((CreditNoteState.PENDING, CreditNoteState.FAILED)),
            CreditNote.error_code.is_not(None),
        )
        .order_by(CreditNote.recorded_at, CreditNote.id)
        .limit(limit)
    )
    return [(org, note) for org, note in rows]
