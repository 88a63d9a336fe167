"""Charges become an invoice: frozen, with all that it takes from elsewhere taken with it."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from billing.charges.period import Charges
from billing.ids import GrantId, new_id
from billing.invoices import issue
from billing.models import CreditEntry, EntryKind, Grant, Invoice, LateUsage, OneOffItem
from billing.rules.lines import DraftLine, LineKind

_MOVES = {
    LineKind.PROMOTIONAL_CREDIT: EntryKind.DRAW,
    LineKind.PREPAID_CREDIT: EntryKind.DRAW,
    LineKind.CREDIT_BALANCE: EntryKind.DRAW,
    LineKind.MOVED_TO_CREDIT: EntryKind.MOVED,
}


async def issue_charges(
    session: AsyncSession, invoice: Invoice, charges: Charges, now: datetime
) -> None:
    """Freeze a CLOSING invoice, and book in the same transaction what it uses up.

    One-off items are billed, grants and the credit balance drawn, notes of late usage done with.
    """
    await session.execute(
        update(OneOffItem).where(OneOffItem.id.in_(charges.one_offs)).values(invoice_id=invoice.id)
    )
    await session.execute(delete(LateUsage).where(LateUsage.id.in_(charges.late_notes)))
    corrected = dict(charges.corrects)
    await issue(session, invoice, charges.draft, charges.version_ids, now, corrected=corrected)
    await _book(session, invoice, charges.draft.lines, now)


async def _book(
    session: AsyncSession, invoice: Invoice, lines: Iterable[DraftLine], now: datetime
) -> None:
    moving = [line for line in lines if line.kind in _MOVES and line.amount.minor]
    if not moving:
        return
    grants = await _grants_by_key(session, invoice, moving)
    entries = [
        {
            "id": new_id(),
            "org_id": invoice.org_id,
            "grant_id": grants.get(line.key),
            "kind": _MOVES[line.kind],
            "amount_minor": line.amount.minor,
            "invoice_id": invoice.id,
            "recorded_at": now,
        }
        for line in moving
    ]
    await session.execute(insert(CreditEntry), entries)


async def _grants_by_key(
    session: AsyncSession, invoice: Invoice, lines: Iterable[DraftLine]
) -> dict[str, GrantId]:
    codes = [x.key.removeprefix("grant/") for x in lines if x.key.startswith("grant/")]
    rows = await session.execute(
        select(Grant.code, Grant.id).where(Grant.org_id == invoice.org_id, Grant.code.in_(codes))
    )
    return {f"grant/{code}": grant_id for code, grant_id in rows}


async def restore_credits(session: AsyncSession, invoice: Invoice, now: datetime) -> None:
    """Give back what a voided invoice had drawn, and take back what it had moved."""
    rows = await session.execute(
        select(CreditEntry.grant_id, func.sum(CreditEntry.amount_minor))
        .where(CreditEntry.invoice_id == invoice.id)
        .group_by(CreditEntry.grant_id)
    )
    session.add_all(
        CreditEntry(
            org_id=invoice.org_id,
            grant_id=grant_id,
            kind=EntryKind.RESTORE,
            amount_minor=-int(amount_minor),
            invoice_id=invoice.id,
            recorded_at=now,
        )
        for grant_id, amount_minor in rows
        if amount_minor
    )
