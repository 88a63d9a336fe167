"""Invoices off the cycle: the fees in advance of a subscription that starts within a period."""

from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncSession

from billing.charges.agreement import Agreement, agreement_for
from billing.charges.basis import Basis
from billing.charges.period import Charges
from billing.charges.reducing import reductions_for
from billing.ids import SubscriptionId
from billing.models import Organization, Subscription
from billing.rules.invoicing import draft_of
from billing.rules.lines import LineKind
from billing.rules.periods import period_at
from billing.rules.prices import Timing


def start_cause(subscription_id: SubscriptionId) -> str:
    """The cause of the invoice that a start brings: there can be one."""
    return f"subscription:{subscription_id}:start"


async def first_fees(
    session: AsyncSession, org: Organization, subscription: Subscription, basis: Basis
) -> Charges | None:
    """What starting costs at once: the rest of the period's fees in advance; None for nothing.

    Who begins with a trial is billed when it is over, and the second half of a change of plan with
    the first, on the next close.
    """
    trial_ends_at = subscription.trial_ends_at
    is_in_trial = trial_ends_at is not None and trial_ends_at > basis.now
    if is_in_trial or subscription.replaces_id is not None:
        return None
    period = period_at(subscription.starts_at, org.anchor_day)
    agreement = await agreement_for(session, org, period, basis)
    if _was_on_before(agreement, subscription):
        return None
    own = [x for x in agreement.subscriptions if x.id == subscription.id]
    agreement = replace(agreement, subscriptions=own)
    fees = agreement.fee_lines(period, LineKind.FEE, Timing.ADVANCE)
    if not any(line.amount.minor for line in fees):
        return None
    reductions = await reductions_for(session, org, period, basis, fees)
    draft = draft_of(org.key, period, org.currency, fees, reductions)
    return Charges(draft, version_ids=agreement.version_ids())


def _was_on_before(agreement: Agreement, subscription: Subscription) -> bool:
    """Its fee of this period is paid already: the close settles what of it was not used."""
    return any(
        x.plan_id == subscription.plan_id and x.starts_at < subscription.starts_at
        for x in agreement.subscriptions
    )
