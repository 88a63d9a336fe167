"""What can be asked."""

from typing import Annotated

import strawberry

from api.accounts import (
    Organization,
    Viewer,
    organization_by_id,
    organization_by_slug,
    page_of_organizations,
)
from api.catalog import Meter, all_meters, meter_by_id
from api.connections import PAGE_SIZE_DEFAULT, After, Connection, First, Page
from api.context import Info
from api.corrections import OpenHold, holds_now
from api.invoices import invoice_by_id
from api.nodes import Node, keys_of, parsed_id
from api.reconciling import Reconciliation, latest_reconciliation
from billing.errors import Invalid, NotFound
from billing.ids import InvoiceId, MeterId, OrgId
from billing.models import Scope

Slug = Annotated[str | None, strawberry.argument(description="As in addresses.")]
Id = Annotated[strawberry.ID, strawberry.argument(description="From the `id` of an answer.")]
OptionalId = Annotated[
    strawberry.ID | None, strawberry.argument(description="From the `id` of an answer.")
]


@strawberry.type(description="What can be asked. Everything needs a key or a signed-in person.")
class Query:
    """The roots."""

    @strawberry.field(description="Who you are.")
    def viewer(self, info: Info) -> Viewer:
        """Known already: asking costs nothing."""
        viewer = info.context.viewer
        return Viewer(
            actor=viewer.actor,
            is_staff=viewer.is_staff,
            scopes=[scope for scope in Scope if scope in viewer.scopes],
        )

    @strawberry.field(description="One organization, by exactly one of its slug and its id.")
    async def organization(
        self,
        info: Info,
        slug: Slug = None,
        id: OptionalId = None,
    ) -> Organization | None:
        """NOT_FOUND alike for one that does not exist and one you may not see."""
        if slug is not None and id is None:
            return await organization_by_slug(info, slug)
        if id is not None and slug is None:
            (org_id,) = keys_of("Organization", 1, id, field="id")
            return await organization_by_id(info, OrgId(org_id))
        raise Invalid("Give either slug or id.", field="slug")

    @strawberry.field(description="Those you may see, by slug.")
    async def organizations(
        self, info: Info, first: First = PAGE_SIZE_DEFAULT, after: After = None
    ) -> Connection[Organization]:
        """All of them for staff and for keys bound to none."""
        return await page_of_organizations(info, Page.asked(first, after))

    @strawberry.field(description="Invoices that wait, the longest first. Staff only.")
    async def holds(self, info: Info, first: First = PAGE_SIZE_DEFAULT) -> list[OpenHold]:
        """Over all organizations."""
        return await holds_now(info, first)

    @strawberry.field(
        description="The latest comparison of our books with Stripe's, with at most `first` of its"
        " differences; null before the first. Staff only."
    )
    async def reconciliation(
        self, info: Info, first: First = PAGE_SIZE_DEFAULT
    ) -> Reconciliation | None:
        """Over all organizations."""
        return await latest_reconciliation(info, first)

    @strawberry.field(description="Every meter, by slug.")
    async def meters(self, info: Info) -> list[Meter]:
        """The same for everybody."""
        return await all_meters(info)

    @strawberry.field(description="Anything by its global id.")
    async def node(self, info: Info, id: Id) -> Node | None:
        """NOT_FOUND alike for what does not exist and what you may not see."""
        match parsed_id(id):
            case "Organization", [org_id]:
                return await organization_by_id(info, OrgId(org_id))
            case "Meter", [meter_id]:
                return await meter_by_id(info, MeterId(meter_id))
            case "Invoice", [org_id, invoice_id]:
                info.context.viewer.require(Scope.BILLING_READ, OrgId(org_id))
                return await invoice_by_id(info, OrgId(org_id), InvoiceId(invoice_id))
        raise NotFound("Nothing can be fetched by this id.")
