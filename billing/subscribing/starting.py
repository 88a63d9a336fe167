"""Putting an organization on a plan, and billing the fees that are due at once."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from billing.audit import record_act
from billing.charges import Basis, first_fees, issue_charges, start_cause
from billing.errors import Conflict, Invalid
from billing.models import Invoice, InvoiceKind, InvoiceStatus, Organization, Subscription
from billing.rules.periods import ceil_hour, floor_hour, period_at
from billing.subscribing.holding import check_currency, check_not_closed, held, open_since
from billing.subscriptions import get_plan, refuse_pricing_twice, refuse_twice


class StartInClosedPeriod(Conflict):
    """The invoice that such a start would change has been issued."""

    code = "START_IN_CLOSED_PERIOD"


async def start_subscription(  # noqa: PLR0913 - a trial is one fact more
    session: AsyncSession,
    org: Organization,
    plan_slug: str,
    starts_at: datetime,
    *,
    actor: str,
    now: datetime,
    trial_ends_at: datetime | None = None,
) -> Subscription:
    """Put `org` on a plan from the whole hour that `starts_at` lies in.

    Fees in advance for the rest of that period are invoiced at once, off the cycle. During a trial,
    whose end is rounded up to the hour, there are none: what is left of the period in which it ends
    is billed with that period. Raises `NotFound`, `Invalid`, `StartInClosedPeriod`,
    `OrganizationClosed`, `AlreadyOnPlan` or `MeterPricedTwice`.
    """
    plan = await get_plan(session, plan_slug)
    start = floor_hour(starts_at)
    trial = _trial(start, trial_ends_at)
    org = await held(session, org)
    _check_start(org, start, now)
    await refuse_twice(session, org, plan, start)
    await refuse_pricing_twice(session, org, plan, start)
    check_currency(org, plan)
    subscription = Subscription(
        org_id=org.id,
        plan_id=plan.id,
        starts_at=start,
        ends_at=org.closed_at,
        trial_ends_at=trial,
        recorded_at=now,
    )
    session.add(subscription)
    await session.flush()
    await _invoice_first_fees(session, org, subscription, now)
    await record_act(
        session,
        actor=actor,
        action="subscription.started",
        subject=plan.slug,
        org_id=org.id,
        details={
            "starts_at": start.isoformat(),
            "trial_ends_at": trial.isoformat() if trial else None,
        },
        now=now,
    )
    return subscription


def _trial(start: datetime, trial_ends_at: datetime | None) -> datetime | None:
    if trial_ends_at is None:
        return None
    trial = ceil_hour(trial_ends_at)
    if trial <= start:
        raise Invalid(
            f"A trial ends after its start, {start:%Y-%m-%d %H:%M} UTC; leave it out for none.",
            code="TRIAL_BEFORE_START",
            field="trialEndsAt",
        )
    return trial


def _check_start(org: Organization, start: datetime, now: datetime) -> None:
    if start > now:
        raise Invalid(
            "A subscription starts now or earlier: start it when the time has come.",
            code="START_IN_FUTURE",
            field="startsAt",
        )
    earliest = open_since(org)
    if start < earliest:
        raise StartInClosedPeriod(
            f"The period before {earliest:%Y-%m-%d} is closed: start on that day or later.",
            field="startsAt",
        )
    check_not_closed(org, start, field="startsAt")


async def _invoice_first_fees(
    session: AsyncSession, org: Organization, subscription: Subscription, now: datetime
) -> None:
    charges = await first_fees(session, org, subscription, Basis(now))
    if charges is None:
        return
    invoice = Invoice(
        org_id=org.id,
        kind=InvoiceKind.OFF_CYCLE,
        cause=start_cause(subscription.id),
        status=InvoiceStatus.CLOSING,
        period_start=subscription.starts_at,
        period_end=period_at(subscription.starts_at, org.anchor_day).end,
        closes_at=now,
        currency=org.currency,
        recorded_at=now,
    )
    session.add(invoice)
    await session.flush()
    await issue_charges(session, invoice, charges, now)
