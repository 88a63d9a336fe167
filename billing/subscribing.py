"""Putting an organization on a plan, and billing the fees that are due at once."""

from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from billing.audit import record_act
from billing.catalog import meters
from billing.charges import Agreement, Basis, Charges, issue_charges, reductions_for
from billing.errors import Conflict, Invalid, NotFound
from billing.models import (
    Invoice,
    InvoiceKind,
    InvoiceStatus,
    Organization,
    Plan,
    Price,
    Subscription,
)
from billing.rules.invoicing import draft_of
from billing.rules.lines import LineKind
from billing.rules.periods import floor_hour, period_at
from billing.rules.prices import Timing
from billing.subscriptions import refuse_pricing_twice, refuse_twice


class StartInClosedPeriod(Conflict):
    """The invoice that such a start would change has been issued."""

    code = "START_IN_CLOSED_PERIOD"


async def start_subscription(
    session: AsyncSession,
    org: Organization,
    plan_slug: str,
    starts_at: datetime,
    *,
    actor: str,
    now: datetime,
) -> Subscription:
    """Put `org` on a plan from the whole hour that `starts_at` lies in.

    Fees in advance for the rest of that period are invoiced at once, off the cycle. Raises
    `NotFound`, `Invalid`, `StartInClosedPeriod`, `AlreadyOnPlan` or `MeterPricedTwice`.
    """
    plan = await _plan(session, plan_slug)
    start = floor_hour(starts_at)
    org = await session.get_one(Organization, org.id, with_for_update=True, populate_existing=True)
    org.subscription_changes += 1  # so that a close which has begun without it must begin again
    _check_start(org, start, now)
    await refuse_twice(session, org, plan, start)
    await refuse_pricing_twice(session, org, plan, start)
    _check_currency(org, plan)
    subscription = Subscription(org_id=org.id, plan_id=plan.id, starts_at=start, recorded_at=now)
    session.add(subscription)
    await session.flush()
    await _invoice_first_fees(session, org, subscription, plan, now)
    await record_act(
        session,
        actor=actor,
        action="subscription.started",
        subject=plan.slug,
        org_id=org.id,
        details={"starts_at": start.isoformat()},
        now=now,
    )
    return subscription


async def _plan(session: AsyncSession, slug: str) -> Plan:
    plan = await session.scalar(
        select(Plan)
        .where(Plan.slug == slug)
        .options(selectinload(Plan.prices).selectinload(Price.versions))
    )
    if plan is None:
        raise NotFound(f"There is no plan {slug!r}.", code="PLAN_NOT_FOUND", field="plan")
    return plan


def _check_start(org: Organization, start: datetime, now: datetime) -> None:
    if start > now:
        raise Invalid(
            "A subscription starts now or earlier: start it when the time has come.",
            code="START_IN_FUTURE",
            field="startsAt",
        )
    earliest = period_at(org.open_period_end - timedelta(microseconds=1), org.anchor_day).start
    if start < earliest:
        raise StartInClosedPeriod(
            f"The period before {earliest:%Y-%m-%d} is closed: start on that day or later.",
            field="startsAt",
        )


def _check_currency(org: Organization, plan: Plan) -> None:
    if all(price.currency != org.currency for price in plan.prices):
        raise Invalid(
            f"The plan {plan.slug!r} has no prices in {org.currency}.",
            code="CURRENCY_MISMATCH",
            field="plan",
        )


async def _invoice_first_fees(
    session: AsyncSession,
    org: Organization,
    subscription: Subscription,
    plan: Plan,
    now: datetime,
) -> None:
    """Off the cycle, at once. Who begins with a trial is billed when it is over."""
    period = period_at(subscription.starts_at, org.anchor_day)
    found = {x.id: x for x in await meters(session)}
    agreement = Agreement(org, [subscription], {plan.id: plan}, found)
    if subscription.trial_ends_at is not None and subscription.trial_ends_at > now:
        return
    fees = agreement.fee_lines(period, LineKind.FEE, Timing.ADVANCE)
    if not any(line.amount.minor for line in fees):
        return
    reductions = await reductions_for(session, org, period, Basis(now), fees)
    draft = draft_of(org.key, period, org.currency, fees, reductions)
    invoice = Invoice(
        org_id=org.id,
        kind=InvoiceKind.OFF_CYCLE,
        cause=f"subscription:{subscription.id}:start",
        status=InvoiceStatus.CLOSING,
        period_start=subscription.starts_at,
        period_end=period.end,
        closes_at=now,
        currency=org.currency,
        recorded_at=now,
    )
    session.add(invoice)
    await session.flush()
    charges = Charges(draft, version_ids=agreement.version_ids())
    await issue_charges(session, invoice, charges, now)
