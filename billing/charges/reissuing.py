"""What other invoices have billed of a period by true-ups: it is theirs, whoever is issued again.

A true-up names the invoice it corrected. When that one is voided and its period issued again, the
new one has the whole truth, so it takes back what the true-ups had added.
"""

from collections import defaultdict
from dataclasses import replace

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from billing.charges.basis import Basis
from billing.charges.priced_meters import meters_of_prices
from billing.ids import InvoiceId
from billing.invoices import draft_line_of
from billing.models import Invoice, InvoiceKind, InvoiceLine, InvoiceStatus, Organization
from billing.rules.lines import DraftLine, LineKind, plain_line
from billing.rules.money import Money
from billing.rules.periods import Period


async def is_issued_again(
    session: AsyncSession, org: Organization, period: Period, basis: Basis
) -> bool:
    """Whether the period had an invoice before, which has been voided."""
    if basis.again is not None:
        return basis.again.revision > 0
    if org.open_period_end <= period.end:
        return False
    voided = select(Invoice.id).where(
        Invoice.org_id == org.id,
        Invoice.kind == InvoiceKind.PERIOD,
        Invoice.period_start == period.start,
        Invoice.status == InvoiceStatus.VOID,
    )
    return bool(await session.scalar(select(voided.exists())))


async def corrected_before(
    session: AsyncSession, org: Organization, period: Period, basis: Basis
) -> list[DraftLine]:
    """The true-ups of a period, whichever of its invoices they named, on all that count."""
    return [line for line, _, _ in await _true_ups_of(session, org, period, basis)]


async def already_corrected(
    session: AsyncSession, org: Organization, period: Period, basis: Basis
) -> tuple[list[DraftLine], list[tuple[str, InvoiceId]]]:
    """One line for each price that gives back its true-ups, and the invoices they named."""
    of_price: defaultdict[str, list[tuple[DraftLine, str, InvoiceId]]] = defaultdict(list)
    for found in await _true_ups_of(session, org, period, basis):
        of_price[found[0].key.rpartition("~")[0]].append(found)
    meters = await meters_of_prices(session, of_price) if of_price else {}
    lines, invoices = [], []
    for price, true_ups in of_price.items():
        line, number, invoice_id = true_ups[-1]
        billed = sum(one.amount.minor - one.reduced_minor for one, _, _ in true_ups)
        if billed:
            amount = Money(-billed, org.currency)
            description = f"Billed already: {line.description}"
            made = plain_line(LineKind.TRUE_UP, f"{price}~{number}", description, amount, line.span)
            meter = meters.get(price)
            lines.append(replace(made, product=line.product, meter=meter, corrects=number))
            invoices.append((number, invoice_id))
    return lines, invoices


async def _true_ups_of(
    session: AsyncSession, org: Organization, period: Period, basis: Basis
) -> list[tuple[DraftLine, str, InvoiceId]]:
    corrected = aliased(Invoice)
    rows = await session.execute(
        select(InvoiceLine, corrected.number, corrected.id)
        .join(Invoice, Invoice.id == InvoiceLine.invoice_id)
        .join(corrected, corrected.id == InvoiceLine.corrects_id)
        .where(
            Invoice.org_id == org.id,
            basis.counting,
            InvoiceLine.kind == LineKind.TRUE_UP,
            corrected.period_start == period.start,
        )
        .order_by(Invoice.issued_at, InvoiceLine.position)
    )
    return [(draft_line_of(line, org.currency), str(number), id_) for line, number, id_ in rows]
