"""All that the billing page shows, taken in one go: for the page, its twins and its stream."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from billing.accounts import get_organization_by_id
from billing.estimates import (
    DayCost,
    Estimate,
    closing_totals,
    current_estimate,
    daily_costs,
)
from billing.ids import InvoiceId, OrgId
from billing.invoices import SyncHealth, invoices_for_org, sync_health
from billing.models import Invoice, Organization
from billing.rules.lines import LineKind
from billing.rules.money import Money
from billing.runtime import Runtime
from web.charts import day_chart
from web.costs import GROUPS, cost_table
from web.statement import section, sections

RECENT_INVOICES = 6
DAYS_KEPT = timedelta(seconds=60)
"""Bars move slowly: a live page gets them this often, its figures with every push."""


@dataclass(frozen=True, slots=True)
class Figures:
    """One organization's bill as of one moment. `days` may be a little older."""

    org: Organization
    estimate: Estimate
    days: Sequence[DayCost]
    days_at: datetime
    invoices: Sequence[Invoice]
    closing: Mapping[InvoiceId, Money]
    health: SyncHealth

    def context(self, group: str) -> dict[str, Any]:
        """What the page's templates are given."""
        lines, currency = self.estimate.lines, self.org.currency
        usage = section(lines, LineKind.USAGE, currency)
        fees = section(lines, LineKind.FEE, currency)
        one_offs = section(lines, LineKind.ONE_OFF, currency)
        return {
            "org": self.org,
            "estimate": self.estimate,
            "period": self.estimate.period,
            "usage": usage,
            "is_used": any(line.quantity for line in usage.lines),
            "fees": fees,
            "one_offs": one_offs,
            "accrued_exact": usage.exact_minor + fees.exact_minor + one_offs.exact_minor,
            "sections": sections(lines, currency),
            "costs": cost_table(self.estimate, group),
            "groups": GROUPS,
            "chart": day_chart(self.estimate.period, self.days, currency),
            "invoices": self.invoices,
            "closing": self.closing,
            "health": self.health,
        }


async def figures_now(runtime: Runtime, org_id: OrgId, before: Figures | None = None) -> Figures:
    """The figures of this moment; the days of `before` are kept while they are new enough."""
    now = await runtime.now()
    async with runtime.sessions() as session:
        org = await get_organization_by_id(session, org_id)
        invoices = await invoices_for_org(session, org_id, limit=RECENT_INVOICES)
        health = await sync_health(session, now)
    async with runtime.sessions() as session:
        estimate = await current_estimate(session, org, now)
    closing = await closing_totals(runtime, org, invoices, now)
    days, days_at = await _days(runtime, org, now, before)
    return Figures(org, estimate, days, days_at, invoices, closing, health)


async def _days(
    runtime: Runtime, org: Organization, now: datetime, before: Figures | None
) -> tuple[Sequence[DayCost], datetime]:
    if (
        before
        and before.days_at <= now < before.days_at + DAYS_KEPT
        and now in before.estimate.period
    ):
        return before.days, before.days_at
    async with runtime.sessions() as session:
        return await daily_costs(session, org, now), now
