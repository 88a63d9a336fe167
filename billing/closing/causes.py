"""What speaks against issuing an invoice whose grace is over."""

from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from billing.charges import Charges
from billing.holds import Cause
from billing.models import (
    HoldReason,
    Invoice,
    InvoiceKind,
    InvoiceLine,
    InvoiceStatus,
    Organization,
)
from billing.rules.completeness import SourceGap
from billing.rules.holds import (
    ANOMALY_ABOVE_MAJOR,
    ANOMALY_HISTORY,
    SOURCE_GAP_MAX,
    is_anomaly,
    is_over_limit,
)
from billing.rules.lines import LINE_ORDER, LineKind
from billing.rules.money import Money
from billing.rules.quantities import plain
from billing.usage.completeness import source_gaps

_BEFORE_TAX = [
    kind
    for kind in LineKind
    if kind is not LineKind.CARRIED_IN and LINE_ORDER[kind] < LINE_ORDER[LineKind.TAX]
]


async def causes_against(
    session: AsyncSession, org: Organization, invoice: Invoice, charges: Charges
) -> dict[HoldReason, Cause]:
    """Every reason to wait, by kind; none, as a rule."""
    causes = {}
    if charges.unpriced:
        causes[HoldReason.UNPRICED] = _unpriced(charges)
    if gaps := await source_gaps(session, org.id, invoice.period):
        causes[HoldReason.SOURCE_GAP] = Cause(
            " ".join(_gap_words(gap) for gap in gaps),
            {"sources": [gap.source for gap in gaps]},
            deadline=invoice.closes_at + SOURCE_GAP_MAX,
        )
    return causes | await _unusual(session, org, invoice, charges.draft.pre_tax)


def _unpriced(charges: Charges) -> Cause:
    found = [f"{plain(x.quantity)} {x.unit} of {x.meter}" for x in charges.unpriced]
    return Cause(
        f"{', '.join(found)} have no price: price them, or release the invoice without them.",
        {"meters": [x.meter for x in charges.unpriced]},
    )


def _gap_words(gap: SourceGap) -> str:
    if gap.through is not None:
        return f"{gap.source} has sent everything only up to {gap.through:%Y-%m-%d %H:%M} UTC."
    return (
        f"{gap.source} says it sent other usage than has come, in {len(gap.unconfirmed_hours)} h."
    )


async def _unusual(
    session: AsyncSession, org: Organization, invoice: Invoice, pre_tax: Money
) -> dict[HoldReason, Cause]:
    """Asked for only where an amount is large enough to be unusual at all."""
    if pre_tax.minor <= ANOMALY_ABOVE_MAJOR * org.currency.minor_per_major:
        return {}
    before = await _totals_before(session, org, invoice)
    details = {"pre_tax_minor": pre_tax.minor, "before_minor": [x.minor for x in before]}
    causes = {}
    if is_anomaly(pre_tax, before):
        causes[HoldReason.ANOMALY] = Cause(
            f"{pre_tax.major:f} {org.currency} is more than three times the highest of the last"
            f" {ANOMALY_HISTORY} invoices, {max(x.major for x in before):f}.",
            details,
        )
    if is_over_limit(pre_tax, len(before)):
        causes[HoldReason.NEW_ORGANIZATION] = Cause(
            f"{pre_tax.major:f} {org.currency} is above what one of the first two invoices of an"
            " organization may come to.",
            details,
        )
    return causes


async def _totals_before(
    session: AsyncSession, org: Organization, invoice: Invoice
) -> Sequence[Money]:
    """Before tax, of the periods before this one, the latest first."""
    rows = await session.scalars(
        select(func.sum(InvoiceLine.amount_minor))
        .join(Invoice, Invoice.id == InvoiceLine.invoice_id)
        .where(
            Invoice.org_id == org.id,
            Invoice.kind == InvoiceKind.PERIOD,
            Invoice.status.not_in((InvoiceStatus.CLOSING, InvoiceStatus.VOID)),
            Invoice.period_start < invoice.period_start,
            InvoiceLine.kind.in_(_BEFORE_TAX),
        )
        .group_by(Invoice.id)
        .order_by(Invoice.period_start.desc())
        .limit(ANOMALY_HISTORY)
    )
    return [Money(int(minor), org.currency) for minor in rows]
