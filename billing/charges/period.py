"""What one period costs one organization, by everything recorded so far."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy.ext.asyncio import AsyncSession

from billing.charges.agreement import Agreement, agreement_for
from billing.charges.basis import Basis
from billing.charges.corrections import Corrections, corrections_for, true_ups_of
from billing.charges.fees import advance_fee_lines
from billing.charges.items import carried_in, is_next_to_issue, item_line, unbilled_items
from billing.charges.reducing import reductions_for
from billing.ids import InvoiceId, OneOffItemId, PriceVersionId
from billing.models import Invoice, Organization
from billing.rules.invoicing import Draft, draft_of
from billing.rules.ladders import Unpriced, UsageCharge, charge_ladder, cuts_of, ladders_of
from billing.rules.lines import DraftLine, LineKind
from billing.rules.periods import Period, period_after
from billing.rules.prices import Timing
from billing.rules.reductions import NOTHING, Reductions


@dataclass(frozen=True, slots=True)
class Charges:
    """A period as it would be invoiced, and what stands behind its lines.

    `reductions` are what the draft was reduced by. `corrects` are the invoices that true-ups name,
    by number; `late_notes` are done with once the period is issued.
    """

    draft: Draft
    reductions: Reductions = NOTHING
    usage: tuple[UsageCharge, ...] = ()
    unpriced: tuple[Unpriced, ...] = ()
    one_offs: tuple[OneOffItemId, ...] = ()
    version_ids: dict[str, PriceVersionId] = field(default_factory=dict)
    corrects: tuple[tuple[str, InvoiceId], ...] = ()
    late_notes: tuple[int, ...] = ()


async def charges_for(
    session: AsyncSession, org: Organization, period: Period, basis: Basis
) -> Charges:
    """What `period` costs `org`.

    The open period gives the live estimate, an ended one its invoice. `session` should read one
    snapshot (REPEATABLE READ), so that quantities and money are of the same moment.
    """
    following = period_after(period, org.anchor_day)
    agreement = await agreement_for(session, org, Period(period.start, following.end), basis)
    usage, unpriced = await usage_charges(session, agreement, period, basis)
    is_next = basis.again is not None or await is_next_to_issue(session, org, period, basis)
    items = await unbilled_items(session, org, period, basis, also_earlier=is_next)
    corrections = Corrections()
    if is_next:
        corrections = await corrections_for(session, org, period, basis, _usage_lines)
    own = [
        *(charge.line for charge in usage),
        *agreement.fee_lines(period, LineKind.FEE, Timing.ARREARS),
        *await advance_fee_lines(session, agreement, period, following, basis, is_next=is_next),
        *(item_line(org, item) for item in items),
    ]
    reductions = await reductions_for(session, org, period, basis, own, corrections.lines)
    carried = await carried_in(session, org, period, basis) if is_next else []
    return Charges(
        draft=draft_of(org.key, period, org.currency, [*carried, *own], reductions),
        reductions=reductions,
        usage=tuple(usage),
        unpriced=tuple(unpriced),
        one_offs=tuple(item.id for item in items),
        version_ids=agreement.version_ids(),
        corrects=corrections.invoices,
        late_notes=corrections.notes,
    )


async def usage_charges(
    session: AsyncSession, agreement: Agreement, period: Period, basis: Basis
) -> tuple[list[UsageCharge], Sequence[Unpriced]]:
    """The usage lines of a period with what is behind them, and what has no price."""
    offers = agreement.offers(period)
    cuts = cuts_of(offers, period)
    usage = await basis.usage(session, agreement.org.id, cuts, agreement.meters)
    ladders, unpriced = ladders_of(offers, usage, cuts)
    return [charge for x in ladders for charge in charge_ladder(x, period, cuts)], unpriced


async def outstanding_corrections(
    session: AsyncSession, org: Organization, invoice: Invoice, basis: Basis
) -> Sequence[DraftLine]:
    """What the period of an issued invoice (with its lines) still owes, or is owed."""
    return await true_ups_of(session, org, invoice, basis, _usage_lines)


async def _usage_lines(
    session: AsyncSession, org: Organization, period: Period, basis: Basis
) -> list[DraftLine]:
    agreement = await agreement_for(session, org, period, basis)
    charges, _ = await usage_charges(session, agreement, period, basis)
    return [charge.line for charge in charges]
