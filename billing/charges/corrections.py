"""True-ups: an issued period computed again, less all that was billed for it.

Late events and voids leave notes of their days (`late_usage`); a note only says where to look.
What is to be corrected is found by comparing amounts, so a note too many costs nothing.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from fractions import Fraction

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from billing.charges.basis import Basis
from billing.charges.priced_meters import meters_of_prices
from billing.charges.reducing import coupon_terms, period_cap
from billing.charges.reissuing import already_corrected, corrected_before, is_issued_again
from billing.ids import InvoiceId
from billing.invoices import draft_line_of
from billing.models import (
    Coupon,
    Invoice,
    InvoiceKind,
    InvoiceLine,
    LateUsage,
    Meter,
    Organization,
)
from billing.rules.aggregation import HELD_AGGREGATIONS
from billing.rules.lines import LINE_ORDER, DraftLine, LineKind, plain_line
from billing.rules.money import Money
from billing.rules.periods import Period, utc_day
from billing.rules.reductions import Reductions, corrected
from billing.usage.months import archived_months, month_of

UsageLines = Callable[[AsyncSession, Organization, Period, Basis], Awaitable[list[DraftLine]]]
"""A period's usage lines, as charges are made of them."""

_BEFORE_COUPONS = LINE_ORDER[LineKind.COUPON]


@dataclass(frozen=True, slots=True)
class Corrections:
    """True-up lines, the invoices they name by number, and the notes that led to them."""

    lines: tuple[DraftLine, ...] = ()
    invoices: tuple[tuple[str, InvoiceId], ...] = ()
    notes: tuple[int, ...] = ()


async def corrections_for(
    session: AsyncSession,
    org: Organization,
    period: Period,
    basis: Basis,
    usage_lines: UsageLines,
) -> Corrections:
    """What earlier periods still owe, or are owed, on the invoice of `period`.

    An invoice that is computed again corrects what it corrected: its notes are gone.
    """
    is_again = await is_issued_again(session, org, period, basis)
    lines: list[DraftLine] = []
    invoices: list[tuple[str, InvoiceId]] = []
    if is_again:
        lines, invoices = await already_corrected(session, org, period, basis)
    touched, notes = await _touched(session, org, period, basis)
    for invoice in touched:
        found = await true_ups_of(session, org, invoice, basis, usage_lines)
        lines += found
        if found:
            invoices.append((str(invoice.number), invoice.id))
    seen = () if is_again else notes  # periods that were issued later may need the same notes
    return Corrections(tuple(lines), tuple(invoices), seen)


async def _touched(
    session: AsyncSession, org: Organization, period: Period, basis: Basis
) -> tuple[Sequence[Invoice], tuple[int, ...]]:
    """The invoices that may have to be corrected, and the notes that say so."""
    if basis.again is not None:
        return await _corrected_by(session, basis.again), ()
    if basis.known_at is not None:
        return await _all_before(session, org, period, basis), ()
    rows = await session.execute(
        select(LateUsage.id, LateUsage.day).where(
            LateUsage.org_id == org.id, LateUsage.day < utc_day(period.end)
        )
    )
    notes = rows.all()
    days = [note.day for note in notes if note.day < utc_day(period.start)]
    touched = await _noted(session, org, period, basis, days) if days else ()
    return touched, tuple(note.id for note in notes)


async def _corrected_by(session: AsyncSession, again: Invoice) -> Sequence[Invoice]:
    """The earlier periods that an issued invoice's true-ups are about."""
    named = select(InvoiceLine.corrects_id).where(
        InvoiceLine.invoice_id == again.id, InvoiceLine.kind == LineKind.TRUE_UP
    )
    rows = await session.scalars(
        select(Invoice)
        .where(Invoice.id.in_(named), Invoice.period_start < again.period_start)
        .order_by(Invoice.period_start)
        .options(selectinload(Invoice.lines))
    )
    return rows.all()


async def _all_before(
    session: AsyncSession, org: Organization, period: Period, basis: Basis
) -> Sequence[Invoice]:
    """Of an earlier instant the notes are gone: every period before it is computed.

    But for those archived by then: nothing was counted into them any more. One that was archived
    later may have owed something, and cannot be computed.
    """
    archived = await archived_months(session, by=basis.known_at)
    rows = await session.scalars(
        select(Invoice)
        .where(
            Invoice.org_id == org.id,
            Invoice.kind == InvoiceKind.PERIOD,
            Invoice.period_start < period.start,
            basis.counting,
        )
        .order_by(Invoice.period_start)
        .options(selectinload(Invoice.lines))
    )
    return [
        invoice
        for invoice in rows
        if not archived & {month_of(invoice.period_start), month_of(invoice.period_end)}
    ]


async def _noted(
    session: AsyncSession, org: Organization, period: Period, basis: Basis, days: Sequence[date]
) -> Sequence[Invoice]:
    """The invoices of periods with such a day; and of later ones, where a value may be held."""
    holds = await session.scalar(
        select(func.count()).where(Meter.aggregation.in_(HELD_AGGREGATIONS))
    )
    rows = await session.scalars(
        select(Invoice)
        .where(
            Invoice.org_id == org.id,
            Invoice.kind == InvoiceKind.PERIOD,
            Invoice.period_start < period.start,
            Invoice.period_end > datetime.combine(min(days), time(), UTC),
            basis.counting,
        )
        .order_by(Invoice.period_start)
        .options(selectinload(Invoice.lines))
    )
    return [
        invoice
        for invoice in rows
        if holds
        or any(utc_day(invoice.period_start) <= day < utc_day(invoice.period_end) for day in days)
    ]


async def true_ups_of(
    session: AsyncSession,
    org: Organization,
    invoice: Invoice,
    basis: Basis,
    usage_lines: UsageLines,
) -> list[DraftLine]:
    """What the period of an issued invoice (with its lines) still owes, or is owed.

    One line for each price whose amount is another one now.
    """
    stored = [draft_line_of(line, org.currency) for line in invoice.lines]
    own = [x for x in stored if x.kind is not LineKind.CARRIED_IN and _is_own(x)]
    before = [*own, *await corrected_before(session, org, invoice.period, basis)]
    usage = await usage_lines(session, org, invoice.period, basis)
    beside_usage = [line for line in own if line.kind is not LineKind.USAGE]
    now = await _again(session, org, invoice, stored, [*usage, *beside_usage], basis)
    lines = {}
    for price in dict.fromkeys(_price(line) for line in [*now, *before]):
        ours = [line for line in now if _price(line) == price]
        theirs = [line for line in before if _price(line) == price]
        missing = sum(map(_billed, ours)) - sum(map(_billed, theirs))
        if missing:
            amount = Money(missing, org.currency)
            lines[price] = _line(invoice, price, amount, ours, theirs)
    meters = await meters_of_prices(session, lines) if lines else {}
    return [replace(line, meter=meters.get(price)) for price, line in lines.items()]


def _is_own(line: DraftLine) -> bool:
    return LINE_ORDER[line.kind] < _BEFORE_COUPONS


def _billed(line: DraftLine) -> int:
    return line.amount.minor - line.reduced_minor


def _price(line: DraftLine) -> str:
    return line.key.rpartition("~")[0] if line.kind is LineKind.TRUE_UP else line.price


async def _again(
    session: AsyncSession,
    org: Organization,
    invoice: Invoice,
    stored: Sequence[DraftLine],
    lines: Sequence[DraftLine],
    basis: Basis,
) -> list[DraftLine]:
    """The invoice's own lines after the coupons it had and the maximum of its period."""
    codes = [x.key.removeprefix("coupon/") for x in stored if x.kind is LineKind.COUPON]
    rows = await session.scalars(
        select(Coupon)
        .where(Coupon.org_id == org.id, Coupon.code.in_(codes))
        .order_by(Coupon.recorded_at, Coupon.id)
    )
    cap = await period_cap(session, org, invoice.period, basis)
    coupons = tuple(coupon_terms(row) for row in rows)
    terms = Reductions(coupons=coupons, caps=(cap,) if cap else ())
    ordered = sorted(lines, key=lambda line: LINE_ORDER[line.kind])
    cut = _cut_elsewhere(stored, invoice.period)
    return corrected(ordered, terms, cut, invoice.period, org.currency)


def _cut_elsewhere(stored: Sequence[DraftLine], own: Period) -> int:
    """What maxima of other periods have taken off the invoice's lines."""
    return -sum(
        line.amount.minor
        for line in stored
        if line.kind is LineKind.CAP_CREDIT and line.span != own
    )


def _line(
    invoice: Invoice,
    price: str,
    amount: Money,
    ours: Sequence[DraftLine],
    theirs: Sequence[DraftLine],
) -> DraftLine:
    last = (ours or theirs)[-1]
    name = last.description.removeprefix(f"Correction to {invoice.number}: ")
    made = plain_line(
        LineKind.TRUE_UP,
        f"{price}~{invoice.number}",
        f"Correction to {invoice.number}: {name}",
        amount,
        invoice.period,
    )
    return replace(
        made,
        quantity=_counted(ours) - _counted(theirs) if last.unit else None,
        unit=last.unit,
        product=last.product,
        corrects=str(invoice.number),
    )


def _counted(lines: Sequence[DraftLine]) -> Fraction:
    return sum((line.quantity or Fraction(0) for line in lines), start=Fraction(0))
