"""Where the open period is going: the estimate, its days, and what runs now, as a forecast."""

from collections.abc import Sequence
from fractions import Fraction

from sqlalchemy.ext.asyncio import AsyncSession

from billing.estimates import DayCost, Estimate, daily_costs
from billing.models import Organization
from billing.rules.forecast import Forecast, Trend, forecast_of, running_rate


async def forecast_for(
    session: AsyncSession, org: Organization, estimate: Estimate
) -> Forecast | None:
    """The open period's forecast as of its estimate; None before its third day.

    None too for an estimate of the past: what its days had cost then is not kept.
    """
    if estimate.is_past:
        return None
    return forecast_with(org, estimate, await daily_costs(session, org, estimate.as_of))


def forecast_with(
    org: Organization, estimate: Estimate, days: Sequence[DayCost]
) -> Forecast | None:
    """The same from days that are known already. Those before the organization opened say nothing.

    What is held is left out of the days: it goes on by the hour as it stands.
    """
    now, charges = estimate.as_of, estimate.charges
    opened_on = org.opened_at.date()
    trend = Trend(
        draft=charges.draft,
        terms=charges.reductions,
        days=[(x.day, x.exact_minor - x.held_minor) for x in days if x.day >= opened_on],
        hourly=sum((running_rate(charge, now) for charge in charges.usage), start=Fraction(0)),
    )
    return forecast_of(trend, now)
