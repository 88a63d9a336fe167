"""What changed since the last bill: the open period against an issued one, or one against another.

Amounts are those that were invoiced. What each resource used of a line is read from the buckets
again, for an invoice does not keep it; usage that came late moves shares, never a line.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from billing.charges import Basis, agreement_for, usage_charges
from billing.estimates import Estimate
from billing.invoices import draft_line_of
from billing.models import Invoice, InvoiceKind, InvoiceStatus, Organization
from billing.rules.aggregation import Counted, value_of
from billing.rules.bill_diff import Bill, BillDiff, BillLine, Resource, diff_of, spoken
from billing.rules.ladders import UsageCharge, charge_ladder, cuts_of, ladders_of
from billing.rules.lines import PERIOD_KINDS, DraftLine, LineKind
from billing.rules.periods import Period, floor_hour

_NAMES = ("resource", "app")
"""The dimensions that say what used something, the closest first."""
_PLACE = "region"


@dataclass(frozen=True, slots=True)
class Compared:
    """Two bills and why they differ. `after_number` is None for the open period.

    With `is_same_days`, only as much of the earlier period is compared as has passed of the later
    one: usage, fees and one-off items, before reductions and tax.
    """

    before: Period
    before_number: str
    after: Period
    after_number: str | None
    diff: BillDiff
    is_same_days: bool = False

    @property
    def words(self) -> str:
        """The whole comparison as one sentence."""
        return self.diff.words(self._than)

    @property
    def headline(self) -> str:
        """How it begins: "Up $41.20 on October"."""
        return self.diff.headline(self._than)

    @property
    def _than(self) -> str:
        name = spoken(self.before)
        return f"the same days of {name}" if self.is_same_days else name


async def diff_with_last(
    session: AsyncSession, org: Organization, estimate: Estimate, *, same_days: bool = False
) -> Compared | None:
    """The open period so far against the last issued one; None while there is none.

    With `same_days` also None in the period's first hour: no day has anything to compare yet.
    """
    last = await _invoice_before(session, org, estimate.period.start)
    if last is None:
        return None
    if same_days:
        return await _same_days(session, org, estimate, last)
    before = await _invoice_bill(session, org, last, estimate.as_of)
    after = _bill(org, estimate.lines, estimate.charges.usage)
    return _compared(last, estimate.period, None, diff_of(before, after))


async def diff_with_previous(
    session: AsyncSession, org: Organization, invoice: Invoice, now: datetime
) -> Compared | None:
    """A period's issued invoice, lines loaded, against the one before it; None for the first.

    None for an invoice off the cycle too: it is not for a period.
    """
    if invoice.kind is not InvoiceKind.PERIOD:
        return None
    last = await _invoice_before(session, org, invoice.period_start)
    if last is None:
        return None
    before = await _invoice_bill(session, org, last, now)
    after = await _invoice_bill(session, org, invoice, now)
    return _compared(last, invoice.period, invoice.number, diff_of(before, after))


def _compared(
    last: Invoice,
    after: Period,
    number: str | None,
    diff: BillDiff,
    *,
    is_same_days: bool = False,
) -> Compared:
    assert last.number is not None, "an issued invoice has its number"
    return Compared(last.period, last.number, after, number, diff, is_same_days)


async def _invoice_before(
    session: AsyncSession, org: Organization, start: datetime
) -> Invoice | None:
    return await session.scalar(
        select(Invoice)
        .where(
            Invoice.org_id == org.id,
            Invoice.kind == InvoiceKind.PERIOD,
            Invoice.status.not_in((InvoiceStatus.CLOSING, InvoiceStatus.VOID)),
            Invoice.period_end <= start,
        )
        .order_by(Invoice.period_start.desc(), Invoice.revision.desc())
        .limit(1)
        .options(selectinload(Invoice.lines))
    )


async def _invoice_bill(
    session: AsyncSession, org: Organization, invoice: Invoice, now: datetime
) -> Bill:
    basis = Basis(now)
    agreement = await agreement_for(session, org, invoice.period, basis)
    usage, _ = await usage_charges(session, agreement, invoice.period, basis)
    return _bill(org, _lines(invoice), usage)


async def _same_days(
    session: AsyncSession, org: Organization, estimate: Estimate, last: Invoice
) -> Compared | None:
    passed = estimate.as_of - estimate.period.start
    until = min(floor_hour(last.period_start + passed), last.period_end)
    if until == last.period_start:
        return None
    usage = await _usage_until(session, org, last.period, until)
    others = [x for x in _own(_lines(last)) if x.kind is not LineKind.USAGE]
    lines = [*(charge.line for charge in usage), *(x for x in others if x.span.start < until)]
    after = _bill(org, _own(estimate.lines), estimate.charges.usage)
    diff = diff_of(_bill(org, lines, usage), after)
    return _compared(last, estimate.period, None, diff, is_same_days=True)


async def _usage_until(
    session: AsyncSession, org: Organization, period: Period, until: datetime
) -> list[UsageCharge]:
    """The period's usage lines as they stood at that hour, by what is known now."""
    basis = Basis(until)
    agreement = await agreement_for(session, org, period, basis)
    offers = agreement.offers(period)
    cuts = [*(cut for cut in cuts_of(offers, period) if cut < until), until]
    usage = await basis.usage(session, org.id, cuts, agreement.meters)
    ladders, _ = ladders_of(offers, usage, cuts)
    return [charge for ladder in ladders for charge in charge_ladder(ladder, period, cuts)]


def _lines(invoice: Invoice) -> list[DraftLine]:
    return [draft_line_of(line, invoice.currency) for line in invoice.lines]


def _own(lines: Iterable[DraftLine]) -> list[DraftLine]:
    return [line for line in lines if line.kind in PERIOD_KINDS]


def _bill(org: Organization, lines: Sequence[DraftLine], usage: Iterable[UsageCharge]) -> Bill:
    charges = {(x.line.key, x.line.segment): x for x in usage}
    found = [BillLine(line, _used(charges.get((line.key, line.segment)))) for line in lines]
    return Bill(org.currency, found)


def _used(charge: UsageCharge | None) -> list[tuple[Resource | None, Fraction]]:
    """What each resource used of a line; the app where a meter knows no resources."""
    if charge is None:
        return []
    counted: dict[Resource | None, list[Counted]] = {}
    for source in charge.sources:
        names = (source.dimensions[name] for name in _NAMES if name in source.dimensions)
        name = next(names, None)
        resource = Resource(name, source.dimensions.get(_PLACE, "")) if name else None
        counted.setdefault(resource, []).extend(source.counted)
    aggregation = charge.meter.aggregation
    return [(resource, value_of(aggregation, found)) for resource, found in counted.items()]
