"""A plan that is sold, and customers who have used it: what closing is tested with."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from billing.invoices import invoices_for_org
from billing.models import Invoice, Meter, Organization, Plan
from billing.runtime import Runtime
from tests.factories import a_meter, a_plan, a_price, an_organization, counted, subscribed
from tests.world import NOVEMBER_10

Sold = tuple[Meter, Plan]


async def sold_at(runtime: Runtime, terms: Mapping[str, Any]) -> Sold:
    """A meter, and a plan that prices it."""
    async with runtime.sessions.begin() as session:
        meter = await a_meter(session)
        plan = await a_plan(session)
        await a_price(session, plan, terms, meter=meter, slug="egress")
    return meter, plan


async def a_customer(
    runtime: Runtime, sold: Sold, quantity: Decimal | str | int, key: str | None = None
) -> Organization:
    """On the plan, with so much used in November."""
    meter, plan = sold
    async with runtime.sessions.begin() as session:
        org = await an_organization(session, key=key)
        await subscribed(session, org, plan)
        await counted(session, org.id, meter, quantity, NOVEMBER_10, app="api")
    return org


async def invoices(runtime: Runtime, org: Organization) -> list[Invoice]:
    """Its invoices, the newest first."""
    async with runtime.sessions() as session:
        return list(await invoices_for_org(session, org.id, limit=10))
