"""Tax: fixed rates on what is left to pay, set by staff for each organization."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from billing.audit import record_act
from billing.errors import Invalid, NotFound
from billing.ids import OrgId
from billing.models import Organization, TaxRate
from billing.names import checked_name, did_you_mean
from billing.rules.quantities import plain


async def set_tax_rate(
    session: AsyncSession,
    org: Organization,
    name: str,
    percent: Decimal,
    *,
    actor: str,
    now: datetime,
) -> TaxRate:
    """Tax what is invoiced from now on, the open period included; one rate for each name.

    Another percent ends the rate that was; the same one again changes nothing. Raises `Invalid`.
    """
    name = checked_name(name)
    if not 0 < percent <= 100:
        raise Invalid(
            f"The percent must be above 0 and at most 100, not {plain(percent)}; end a rate to"
            " charge none.",
            code="INVALID_PERCENT",
            field="percent",
        )
    await _lock(session, org)
    standing = await _standing(session, org, name)
    if standing is not None and standing.percent == percent:
        return standing
    if standing is not None:
        standing.ended_at = now
    row = TaxRate(org_id=org.id, name=name, percent=percent, recorded_at=now)
    session.add(row)
    await session.flush()
    await record_act(
        session,
        actor=actor,
        action="tax_rate.set",
        subject=name,
        org_id=org.id,
        details={"percent": plain(percent)},
        now=now,
    )
    return row


async def end_tax_rate(
    session: AsyncSession, org: Organization, name: str, *, actor: str, now: datetime
) -> TaxRate:
    """No invoice that is issued from now on has it. Raises `NotFound` (`TAX_RATE_NOT_FOUND`)."""
    await _lock(session, org)
    standing = await _standing(session, org, name)
    if standing is None:
        known = [x.name for x in await tax_rates_of(session, org.id)]
        raise NotFound(
            f"{org.name} has no tax rate {name!r}.{did_you_mean(name, known)}",
            code="TAX_RATE_NOT_FOUND",
            field="name",
        )
    standing.ended_at = now
    await record_act(
        session, actor=actor, action="tax_rate.ended", subject=name, org_id=org.id, now=now
    )
    return standing


async def tax_rates_of(session: AsyncSession, org_id: OrgId) -> Sequence[TaxRate]:
    """Those that its next invoice will have, the oldest first."""
    rows = await session.scalars(
        select(TaxRate)
        .where(TaxRate.org_id == org_id, TaxRate.ended_at.is_(None))
        .order_by(TaxRate.recorded_at, TaxRate.name)
    )
    return rows.all()


async def _lock(session: AsyncSession, org: Organization) -> None:
    """Two at once would leave two rates of one name."""
    await session.execute(
        select(Organization.id).where(Organization.id == org.id).with_for_update()
    )


async def _standing(session: AsyncSession, org: Organization, name: str) -> TaxRate | None:
    return await session.scalar(
        select(TaxRate).where(
            TaxRate.org_id == org.id, TaxRate.name == name, TaxRate.ended_at.is_(None)
        )
    )
