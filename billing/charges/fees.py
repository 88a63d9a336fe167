"""Fees in advance: what a period deserves, less what was billed for it already.

So a plan that is cancelled or changed gets its unused part back, a fee whose trial ends in the
period or whose invoice was voided is billed after all, and nothing is billed twice.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from fractions import Fraction

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from billing.charges.agreement import Agreement
from billing.charges.basis import Basis
from billing.invoices import draft_line_of
from billing.models import Invoice, InvoiceLine, Organization
from billing.rules.lines import DraftLine, LineKind, plain_line
from billing.rules.money import Money
from billing.rules.periods import Period
from billing.rules.prices import Timing

_FEES = (LineKind.FEE, LineKind.FEE_IN_ADVANCE, LineKind.UNUSED_FEE)


async def advance_fee_lines(
    session: AsyncSession,
    agreement: Agreement,
    period: Period,
    following: Period,
    basis: Basis,
    *,
    is_next: bool,
) -> list[DraftLine]:
    """What the invoice of `period` has of fees in advance: its own settled, and the next one's.

    Unless it `is_next` to be issued, one that is issued before it takes what is still to be paid of
    its own: showing that here too would count it twice.
    """
    whole = Period(period.start, following.end)
    billed = await _billed(session, agreement.org, whole, basis)
    own = _within(billed, period)
    if not is_next:
        own += _coming(agreement, period, own)
    deserved = agreement.fee_lines(period, LineKind.FEE, Timing.ADVANCE)
    return [
        *_settled(deserved, own, period),
        *_coming(agreement, following, _within(billed, following)),
    ]


def _coming(agreement: Agreement, period: Period, billed: Sequence[DraftLine]) -> list[DraftLine]:
    """What the invoice before `period` asks for in advance; it gives nothing back."""
    deserved = agreement.fee_lines(
        period, LineKind.FEE_IN_ADVANCE, Timing.ADVANCE, before_it_starts=True
    )
    return [x for x in _settled(deserved, billed, period) if x.amount.minor > 0]


async def _billed(
    session: AsyncSession, org: Organization, span: Period, basis: Basis
) -> list[DraftLine]:
    rows = await session.scalars(
        select(InvoiceLine)
        .join(Invoice, Invoice.id == InvoiceLine.invoice_id)
        .where(
            Invoice.org_id == org.id,
            Invoice.period_end >= span.start,
            Invoice.period_start < span.end,
            basis.counting,
            InvoiceLine.kind.in_(_FEES),
            InvoiceLine.span_start >= span.start,
            InvoiceLine.span_end <= span.end,
        )
    )
    return [draft_line_of(row, org.currency) for row in rows]


def _within(lines: Iterable[DraftLine], period: Period) -> list[DraftLine]:
    return [line for line in lines if line.span.start in period]


def _settled(
    deserved: Sequence[DraftLine], billed: Sequence[DraftLine], period: Period
) -> list[DraftLine]:
    prices = dict.fromkeys(line.price for line in [*deserved, *billed])
    return [
        line
        for price in prices
        for line in _settled_price(
            [x for x in deserved if x.price == price],
            [x for x in billed if x.price == price],
            period,
        )
    ]


def _settled_price(
    deserved: Sequence[DraftLine], billed: Sequence[DraftLine], period: Period
) -> list[DraftLine]:
    if not billed:
        return list(deserved)
    missing = sum(x.amount.minor for x in deserved) - sum(x.amount.minor for x in billed)
    if missing > 0:
        return [_difference(deserved[-1], missing)]
    if missing < 0 and all(x.kind is not LineKind.UNUSED_FEE for x in billed):
        return [_unused(deserved, billed, missing, period)]
    return []


def _difference(line: DraftLine, minor: int) -> DraftLine:
    amount = Money(minor, line.amount.currency)
    made = plain_line(line.kind, line.key, line.description, amount, line.span)
    return replace(made, product=line.product)


def _unused(
    deserved: Sequence[DraftLine], billed: Sequence[DraftLine], missing: int, period: Period
) -> DraftLine:
    """What a coupon or a grant had taken off the fee is not given back."""
    last = billed[-1]
    gross = sum(x.amount.minor for x in billed)
    exact = Fraction(missing * sum(x.net_minor for x in billed), gross)
    start = max((x.span.end for x in deserved), default=period.start)
    span = Period(start, period.end) if start < period.end else period
    amount = Money.rounded(exact, last.amount.currency)
    description = f"Unused part of {last.description}"
    made = plain_line(LineKind.UNUSED_FEE, last.key, description, amount, span)
    return replace(made, product=last.product, exact_minor=exact)
