"""The one way usage becomes money: page, GraphQL, alerts and invoices all call `charges_for`."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Select, exists, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from billing.catalog import meters
from billing.ids import MeterId, OneOffItemId, OrgId, PlanId, PriceVersionId
from billing.models import (
    Invoice,
    InvoiceLine,
    InvoiceStatus,
    Meter,
    OneOffItem,
    Organization,
    Plan,
    Subscription,
)
from billing.rules.invoicing import (
    Draft,
    DraftLine,
    LineKind,
    carried_line,
    draft_of,
    one_off_line,
    rated_line,
)
from billing.rules.ladders import (
    Offer,
    Unpriced,
    UsageCharge,
    charge_ladder,
    cuts_of,
    ladders_of,
)
from billing.rules.money import Money
from billing.rules.periods import Period, period_after
from billing.rules.prices import Model, Timing
from billing.rules.rating import Segment, rate_fee
from billing.subscriptions import offers_of, plans_with_prices, subscriptions_in, version_name
from billing.usage.totals import usage_by_series

FEES = "Fees"


@dataclass(frozen=True, slots=True)
class Charges:
    """A period as it would be invoiced, and what stands behind its lines."""

    draft: Draft
    usage: tuple[UsageCharge, ...]
    unpriced: tuple[Unpriced, ...]
    one_offs: tuple[OneOffItemId, ...]
    version_ids: dict[str, PriceVersionId]


@dataclass(frozen=True, slots=True)
class Agreement:
    """What one organization is on: its subscriptions, their plans and prices, and the meters."""

    subscriptions: Sequence[Subscription]
    plans: dict[PlanId, Plan]
    meters: dict[MeterId, Meter]

    def offers(self, org: Organization, period: Period) -> list[Offer]:
        """Every price version in force in the period, in subscription and price order."""
        return [
            offer
            for subscription in self.subscriptions
            for offer in offers_of(
                org, subscription, self.plans[subscription.plan_id], period, self.meters
            )
        ]

    def version_ids(self) -> dict[str, PriceVersionId]:
        """Row ids by public name."""
        return {
            version_name(plan, price, version): version.id
            for plan in self.plans.values()
            for price in plan.prices
            for version in price.versions
        }


async def charges_for(session: AsyncSession, org: Organization, period: Period) -> Charges:
    """What `period` costs `org` by everything recorded so far.

    The open period gives the live estimate, an ended one its invoice. `session` should read one
    snapshot (REPEATABLE READ), so that quantities and money are of the same moment.
    """
    agreement = await agreement_for(session, org, period)
    offers = agreement.offers(org, period)
    cuts = cuts_of(offers, period)
    usage = await usage_by_series(session, org.id, cuts, agreement.meters)
    ladders, unpriced = ladders_of(offers, usage, cuts)
    usage_charges = [charge for x in ladders for charge in charge_ladder(x, period, cuts)]
    first = await _is_next_to_issue(session, org, period)
    items = await _unbilled_items(session, org, period, also_earlier=first)
    # Subscriptions of `period` only: one started later has an invoice of its own for its first fee.
    following = period_after(period, org.anchor_day)
    lines = [
        *(await _carried_in(session, org, period) if first else []),
        *(charge.line for charge in usage_charges),
        *_fee_lines(offers, period, LineKind.FEE, Timing.ARREARS),
        *advance_fee_lines(org, agreement, following, LineKind.FEE_IN_ADVANCE),
        *(_item_line(org, item) for item in items),
    ]
    return Charges(
        draft=draft_of(org.key, period, org.currency, lines),
        usage=tuple(usage_charges),
        unpriced=tuple(unpriced),
        one_offs=tuple(item.id for item in items),
        version_ids=agreement.version_ids(),
    )


async def agreement_for(session: AsyncSession, org: Organization, period: Period) -> Agreement:
    """What `org` is on in `period`."""
    subscriptions = await subscriptions_in(session, org.id, period)
    plans = await plans_with_prices(session, [x.plan_id for x in subscriptions])
    return Agreement(subscriptions, plans, {x.id: x for x in await meters(session)})


def advance_fee_lines(
    org: Organization, agreement: Agreement, period: Period, kind: LineKind
) -> list[DraftLine]:
    """The fees for `period` that are billed before it is over."""
    return _fee_lines(agreement.offers(org, period), period, kind, Timing.ADVANCE)


def _fee_lines(
    offers: Sequence[Offer], period: Period, kind: LineKind, timing: Timing
) -> list[DraftLine]:
    return [
        _fee_line(offer, period, kind)
        for offer in offers
        if offer.terms.model is Model.FLAT and offer.terms.timing is timing
    ]


def _fee_line(offer: Offer, period: Period, kind: LineKind) -> DraftLine:
    rated = rate_fee(Segment(offer.version, offer.terms, offer.span), period)
    return rated_line(kind, rated, description=offer.name, segment=0, unit=None, product=FEES)


def _item_line(org: Organization, item: OneOffItem) -> DraftLine:
    amount = Money(item.amount_minor, org.currency)
    return one_off_line(
        f"one-off/{item.idempotency_key}", item.description, amount, item.incurred_at
    )


async def _is_next_to_issue(session: AsyncSession, org: Organization, period: Period) -> bool:
    """Whether nothing before `period` is still to be issued.

    Only then do carried amounts and earlier one-off items fall to it; else the earlier invoice
    takes them, and showing them here too would count them twice.
    """
    if org.open_period_end < period.end:
        return False
    earlier = (
        exists()
        .where(Invoice.org_id == org.id)
        .where(Invoice.status == InvoiceStatus.CLOSING)
        .where(Invoice.period_start < period.start)
    )
    return not await session.scalar(select(earlier))


async def _unbilled_items(
    session: AsyncSession, org: Organization, period: Period, *, also_earlier: bool
) -> Sequence[OneOffItem]:
    statement = (
        select(OneOffItem)
        .where(
            OneOffItem.org_id == org.id,
            OneOffItem.invoice_id.is_(None),
            OneOffItem.incurred_at < period.end,
        )
        .order_by(OneOffItem.incurred_at, OneOffItem.id)
    )
    if not also_earlier:
        statement = statement.where(OneOffItem.incurred_at >= period.start)
    return (await session.scalars(statement)).all()


async def _carried_in(session: AsyncSession, org: Organization, period: Period) -> list[DraftLine]:
    """What earlier invoices carried out and none has taken in yet."""
    carries = (LineKind.CARRIED_OUT, LineKind.CARRIED_IN)
    balance = await session.scalar(
        select(func.coalesce(func.sum(InvoiceLine.amount_minor), 0))
        .join(Invoice, Invoice.id == InvoiceLine.invoice_id)
        .where(
            Invoice.org_id == org.id,
            Invoice.status != InvoiceStatus.VOID,
            InvoiceLine.kind.in_(carries),
        )
    )
    if not balance:
        return []
    number = await session.scalar(_last_carrying(org.id))
    amount = Money(-int(balance), org.currency)
    return [carried_line(LineKind.CARRIED_IN, f"Carried from {number}", amount, period)]


def _last_carrying(org_id: OrgId) -> Select[str | None]:
    return (
        select(Invoice.number)
        .join(InvoiceLine, InvoiceLine.invoice_id == Invoice.id)
        .where(Invoice.org_id == org_id, InvoiceLine.kind == LineKind.CARRIED_OUT)
        .order_by(Invoice.issued_at.desc(), Invoice.id.desc())
        .limit(1)
    )
