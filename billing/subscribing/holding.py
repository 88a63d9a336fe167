"""The lock under which a subscription changes, and how far back a change may reach."""

from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from billing.errors import Conflict, Invalid
from billing.models import Organization, Plan, Subscription
from billing.rules.periods import period_at
from billing.subscriptions import pending_change


class ChangeInClosedPeriod(Conflict):
    """The invoice that such a change would alter is issued, or about to be."""

    code = "CHANGE_IN_CLOSED_PERIOD"


class OrganizationClosed(Conflict):
    """From then on nothing is billed."""

    code = "ORGANIZATION_CLOSED"


class ChangePending(Conflict):
    """Another change of the same subscription is still to come."""

    code = "CHANGE_PENDING"


async def held(session: AsyncSession, org: Organization) -> Organization:
    """`org` as it is under its lock. A close that began before this change must begin again."""
    locked = await session.get_one(
        Organization, org.id, with_for_update=True, populate_existing=True
    )
    locked.subscription_changes += 1
    return locked


def open_since(org: Organization) -> datetime:
    """The start of the earliest period without an invoice row: what is before it stands."""
    return period_at(org.open_period_end - timedelta(microseconds=1), org.anchor_day).start


def check_reach(org: Organization, at: datetime, *, field: str = "at") -> None:
    """Raise `ChangeInClosedPeriod` or `OrganizationClosed` where nothing can change any more."""
    earliest = open_since(org)
    if at < earliest:
        raise ChangeInClosedPeriod(
            f"What was before {earliest:%Y-%m-%d} is invoiced, or about to be: choose that day or"
            " later, and correct earlier periods by a credit note or a one-off item.",
            field=field,
        )
    check_not_closed(org, at, field=field)


def check_not_closed(org: Organization, at: datetime, *, field: str) -> None:
    """Raise `OrganizationClosed` for an instant at which it is."""
    if org.closed_at is not None and at >= org.closed_at:
        raise OrganizationClosed(
            f"{org.name} is closed from {org.closed_at:%Y-%m-%d %H:%M} UTC on: everything it was on"
            " has ended with that hour.",
            field=field,
        )


def check_currency(org: Organization, plan: Plan, *, field: str = "plan") -> None:
    """Raise `Invalid` for a plan that asks for nothing in the organization's currency."""
    if all(price.currency != org.currency for price in plan.prices):
        raise Invalid(
            f"The plan {plan.slug!r} has no prices in {org.currency}.",
            code="CURRENCY_MISMATCH",
            field=field,
        )


def check_end(subscription: Subscription, ends_at: datetime) -> None:
    """Raise `Invalid` for an end that is no later than the start."""
    if ends_at <= subscription.starts_at:
        raise Invalid(
            f"It starts at {subscription.starts_at:%Y-%m-%d %H:%M} UTC: end it an hour later or"
            " more.",
            code="END_BEFORE_START",
            field="at",
        )


async def refuse_pending(session: AsyncSession, subscription: Subscription, now: datetime) -> None:
    """Raise `ChangePending` when a change of plan has been arranged and is still to come."""
    pending = await pending_change(session, subscription, now)
    if pending is not None:
        raise ChangePending(
            f"A change of plan is to come at {pending.starts_at:%Y-%m-%d %H:%M} UTC: resume this"
            " plan first, which withdraws that.",
            field="plan",
        )
