"""Closing an organization: its last invoice is that of the period in which it is closed."""

from datetime import datetime

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from billing.audit import record_act
from billing.errors import Invalid
from billing.models import Organization, Subscription
from billing.rules.periods import ceil_hour
from billing.subscribing.holding import OrganizationClosed, check_reach, held, open_since
from billing.subscriptions import decide_end, withdraw_subscription


async def close_organization(
    session: AsyncSession, org: Organization, at: datetime | None, *, actor: str, now: datetime
) -> Organization:
    """Bill `org` for nothing from `at` (None: now) on, rounded up to the hour.

    Everything it is on ends then, and what it has paid in advance beyond comes back on the invoice
    of that period, its last. Usage dated later in that period is refused by nobody: it is unpriced,
    and holds that invoice until staff look. An organization is not opened again. Raises `Invalid`,
    `ChangeInClosedPeriod` or `OrganizationClosed`.
    """
    org = await held(session, org)
    closed_at = ceil_hour(now if at is None else at)
    if org.closed_at == closed_at:
        return org
    if org.closed_at is not None:
        raise OrganizationClosed(
            f"{org.name} is closed from {org.closed_at:%Y-%m-%d %H:%M} UTC on, which is final.",
            field="at",
        )
    check_reach(org, closed_at)
    _check_invoiced(org, closed_at)
    await _end_everything(session, org, closed_at, now)
    org.closed_at = closed_at
    await session.flush()
    await record_act(
        session,
        actor=actor,
        action="organization.closed",
        subject=org.slug,
        org_id=org.id,
        details={"closed_at": closed_at.isoformat()},
        now=now,
    )
    return org


def _check_invoiced(org: Organization, closed_at: datetime) -> None:
    """The open period has fees paid in advance: it needs the invoice on which they come back."""
    earliest = max(open_since(org), org.opened_at)
    if closed_at <= earliest:
        raise Invalid(
            f"Its books are open from {earliest:%Y-%m-%d %H:%M} UTC: close it an hour later or"
            " more.",
            code="CLOSED_BEFORE_OPEN",
            field="at",
        )


async def _end_everything(
    session: AsyncSession, org: Organization, closed_at: datetime, now: datetime
) -> None:
    rows = await session.scalars(
        select(Subscription).where(
            Subscription.org_id == org.id,
            or_(Subscription.ends_at.is_(None), Subscription.ends_at > closed_at),
        )
    )
    for subscription in rows.all():
        if subscription.starts_at < closed_at:
            await decide_end(session, subscription, closed_at, now)
        elif subscription.starts_at > now:
            await withdraw_subscription(session, subscription, now)  # a change that was to come
        else:
            raise Invalid(
                f"It was put on a plan at {subscription.starts_at:%Y-%m-%d %H:%M} UTC: close it"
                " after that hour.",
                code="CLOSED_BEFORE_START",
                field="at",
            )
