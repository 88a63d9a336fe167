"""What an organization is called, and where its invoices go."""

import strawberry

from api.accounts import Organization, organization_row
from api.context import Info
from api.errors import Payload, RefusalsAsData
from billing import accounts


@strawberry.input(description="What is to be another; what is left out stays.")
class UpdateOrganizationInput:
    """Issued invoices stay as they were sent."""

    organization: str = strawberry.field(description="The organization's slug.")
    name: str | None = strawberry.field(default=None, description="For people, and on invoices.")
    billing_email: str | None = strawberry.field(
        default=None, description="Where invoices are sent."
    )


@strawberry.type(description="The organization, or why not.")
class UpdateOrganizationPayload(Payload):
    """As it is now; Stripe's customer follows."""

    organization: Organization | None = strawberry.field(default=None, description="As it is now.")


@strawberry.type
class OrganizationMutations:
    """All for staff, and for keys with the scope admin."""

    @strawberry.mutation(
        description="Change an organization's name or billing address. Staff only.",
        extensions=[RefusalsAsData(UpdateOrganizationPayload)],
    )
    async def update_organization(
        self, info: Info, input: UpdateOrganizationInput
    ) -> UpdateOrganizationPayload:
        """Audited; changing nothing is fine."""
        context = info.context
        context.viewer.require_ops()
        async with context.runtime.sessions.begin() as session:
            org = await organization_row(context, session, input.organization)
            is_other = await accounts.change_organization(
                session,
                org,
                name=input.name,
                billing_email=input.billing_email,
                actor=context.viewer.actor,
                now=context.now,
            )
        if is_other:
            await context.runtime.nudges.enqueue("push_customers")
        return UpdateOrganizationPayload(organization=Organization.of(org))
