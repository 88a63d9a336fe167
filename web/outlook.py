"""What of the billing page moves slowly: its days, where they lead, and what they changed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from billing.bill_diffs import Compared, diff_with_last
from billing.estimates import DayCost, Estimate, daily_costs
from billing.forecasts import forecast_with
from billing.models import Organization
from billing.rules.forecast import Forecast
from billing.rules.money import Money
from billing.rules.periods import Period
from billing.runtime import Runtime

KEPT = timedelta(seconds=60)
"""A live page gets these so often, its figures with every push."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """As of `at`. No `forecast` before the third day, no `changes` without an earlier invoice."""

    at: datetime
    period: Period
    days: Sequence[DayCost]
    forecast: Forecast | None
    changes: Compared | None

    def is_new_enough(self, now: datetime) -> bool:
        """Whether a page may keep it."""
        return self.at <= now < self.at + KEPT and now in self.period

    def beside(self, accrued: Money) -> "Outlook":
        """The same, with a forecast that is not below what has accrued since it was made."""
        if self.forecast is None:
            return self
        return replace(self, forecast=self.forecast.not_below(accrued))


async def outlook_of(
    runtime: Runtime, org: Organization, estimate: Estimate, before: Outlook | None
) -> Outlook:
    """The outlook from this estimate; `before` while it is new enough."""
    now = estimate.as_of
    if before is not None and before.is_new_enough(now):
        return before.beside(estimate.accrued)
    async with runtime.sessions() as session:
        days = await daily_costs(session, org, now)
        changes = await diff_with_last(session, org, estimate, same_days=True)
    return Outlook(now, estimate.period, days, forecast_with(org, estimate, days), changes)
