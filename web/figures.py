"""All that the billing page shows, taken in one go: for the page, its twins and its stream."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from billing.accounts import get_organization_by_id
from billing.estimates import Estimate, closing_totals, current_estimate
from billing.ids import InvoiceId, OrgId
from billing.invoices import SyncHealth, invoices_for_org, sync_health
from billing.models import Invoice, Organization
from billing.rules.forecast import forecast_from
from billing.rules.lines import LineKind
from billing.rules.money import Money
from billing.runtime import Runtime
from billing.subscriptions import Standing, standing_subscriptions
from web.charts import day_chart
from web.costs import GROUPS, cost_table
from web.line_links import draft_links
from web.outlook import Outlook, outlook_of
from web.reduced import reduced_context
from web.statement import section, sections

RECENT_INVOICES = 6


@dataclass(frozen=True, slots=True)
class Figures:
    """One organization's bill as of one moment. `outlook` may be a little older."""

    org: Organization
    estimate: Estimate
    outlook: Outlook
    plans: Sequence[Standing]
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
            **reduced_context(self.estimate),
            "sections": sections(lines, currency),
            "links": draft_links(self.org, lines),
            "costs": cost_table(self.estimate, group),
            "groups": GROUPS,
            "forecast": self.outlook.forecast,
            "forecast_from": forecast_from(self.estimate.period, self.org.opened_at),
            "changes": self.outlook.changes,
            "chart": day_chart(self.estimate.period, self.outlook.days, currency),
            "plans": self.plans,
            "invoices": self.invoices,
            "closing": self.closing,
            "health": self.health,
        }


async def figures_now(runtime: Runtime, org_id: OrgId, before: Figures | None = None) -> Figures:
    """The figures of this moment; the outlook of `before` is kept while it is new enough."""
    now = await runtime.now()
    async with runtime.sessions() as session:
        org = await get_organization_by_id(session, org_id)
        invoices = await invoices_for_org(session, org_id, limit=RECENT_INVOICES)
        health = await sync_health(session, now)
        plans = await standing_subscriptions(session, org_id, now)
    async with runtime.sessions() as session:
        estimate = await current_estimate(session, org, now)
    closing = await closing_totals(runtime, org, invoices, now)
    outlook = await outlook_of(runtime, org, estimate, before.outlook if before else None)
    return Figures(org, estimate, outlook, plans, invoices, closing, health)
