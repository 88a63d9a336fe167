"""What else is on an invoice than usage and fees: one-off items, and what was carried to it."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Select, exists, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from billing.charges.basis import Basis
from billing.ids import OrgId
from billing.models import (
    Invoice,
    InvoiceKind,
    InvoiceLine,
    OneOffItem,
    Organization,
)
from billing.rules.lines import DraftLine, LineKind, carried_line, one_off_line
from billing.rules.money import Money
from billing.rules.periods import Period

_ITEM_KEY = "one-off/"


async def is_next_to_issue(
    session: AsyncSession, org: Organization, period: Period, basis: Basis
) -> bool:
    """Whether nothing before `period` is, or at the basis' instant was, still to be issued.

    Only then do carried amounts, corrections and earlier one-off items fall to it; else the
    earlier invoice takes them, and showing them here too would count them twice.
    """
    if org.open_period_end < period.end:
        return False
    earlier = (
        exists()
        .where(Invoice.org_id == org.id)
        .where(Invoice.kind == InvoiceKind.PERIOD)
        .where(basis.awaiting)
        .where(Invoice.period_start < period.start)
    )
    return not await session.scalar(select(earlier))


async def unbilled_items(
    session: AsyncSession, org: Organization, period: Period, basis: Basis, *, also_earlier: bool
) -> Sequence[OneOffItem]:
    """Items sold in the period, or before it and not billed yet; oldest first."""
    statement = (
        select(OneOffItem)
        .where(
            OneOffItem.org_id == org.id,
            OneOffItem.incurred_at < period.end,
            _is_unbilled(org, basis),
            basis.knows(OneOffItem.recorded_at),
        )
        .order_by(OneOffItem.incurred_at, OneOffItem.id)
    )
    if not also_earlier:
        statement = statement.where(OneOffItem.incurred_at >= period.start)
    return (await session.scalars(statement)).all()


def _is_unbilled(org: Organization, basis: Basis) -> ColumnElement[bool]:
    """At an earlier instant by the lines that stood then: voiding since has freed items again."""
    if basis.known_at is None:
        return OneOffItem.invoice_id.is_(None)
    billed = (
        select(InvoiceLine.key)
        .join(Invoice, Invoice.id == InvoiceLine.invoice_id)
        .where(Invoice.org_id == org.id, basis.counting, InvoiceLine.kind == LineKind.ONE_OFF)
    )
    return func.concat(_ITEM_KEY, OneOffItem.idempotency_key).not_in(billed)


def item_line(org: Organization, item: OneOffItem) -> DraftLine:
    """A one-off item as a line."""
    amount = Money(item.amount_minor, org.currency)
    return one_off_line(
        f"{_ITEM_KEY}{item.idempotency_key}", item.description, amount, item.incurred_at
    )


async def carried_in(
    session: AsyncSession, org: Organization, period: Period, basis: Basis
) -> list[DraftLine]:
    """What earlier invoices carried out and none has taken in yet."""
    carries = (LineKind.CARRIED_IN, LineKind.CARRIED_OUT)
    balance = await session.scalar(
        select(func.coalesce(func.sum(InvoiceLine.amount_minor), 0))
        .join(Invoice, Invoice.id == InvoiceLine.invoice_id)
        .where(Invoice.org_id == org.id, basis.counting, InvoiceLine.kind.in_(carries))
    )
    if not balance:
        return []
    number = await session.scalar(_last_carrying(org.id, basis))
    amount = Money(-int(balance), org.currency)
    return [carried_line(LineKind.CARRIED_IN, f"Carried from {number}", amount, period)]


def _last_carrying(org_id: OrgId, basis: Basis) -> Select[str | None]:
    return (
        select(Invoice.number)
        .join(InvoiceLine, InvoiceLine.invoice_id == Invoice.id)
        .where(Invoice.org_id == org_id, basis.counting, InvoiceLine.kind == LineKind.CARRIED_OUT)
        .order_by(Invoice.issued_at.desc(), Invoice.id.desc())
        .limit(1)
    )
