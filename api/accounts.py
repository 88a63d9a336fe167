"""Organizations, the people in them, and whoever is asking."""

from datetime import datetime
from typing import Annotated, Self

import strawberry
from sqlalchemy.ext.asyncio import AsyncSession

from api.bill_diffs import BillDiff, SameDays, bill_diff_of
from api.charges import SHARES_DEFAULT, Estimate, Shares
from api.connections import PAGE_SIZE_DEFAULT, After, Connection, First, Keyset, Page
from api.context import Context, Info
from api.cost import priced
from api.invoices import Invoice, InvoiceFilter, invoice_by_number, page_of_invoices
from api.nodes import Node, global_id
from api.quarantine import QuarantinedEvent, page_of_quarantine
from api.reductions import Reduced
from api.scalars import CurrencyCode
from api.subscriptions import AlsoEnded, Subscription, subscriptions_of
from api.usage import Curve, Usage, usage_of
from api.what_if import (
    WHAT_IF_COST,
    InsteadOf,
    OtherPlan,
    Periods,
    WhatIf,
    what_if_on,
)
from billing import accounts, models
from billing.accounts import OrganizationNotFound
from billing.ids import OrgId
from billing.models import Role, Scope
from billing.usage.curves import Interval

strawberry.enum(Role, description="What a person may do in one organization.")
strawberry.enum(Scope, description="What a key may do; a person's role gives them scopes too.")

BY_SLUG = Keyset("organizations", size=1)

BILL_DIFF_COST = 150
ESTIMATE_COST = 50
PAST_COST = 450
USAGE_COST = 20

AsOf = Annotated[
    datetime | None,
    strawberry.argument(
        description="An instant that has passed: by everything recorded until then, from every"
        " single event. Now when left out."
    ),
]
MeterSlug = Annotated[str, strawberry.argument(description="The meter's slug.")]
From = Annotated[
    datetime | None,
    strawberry.argument(name="from", description="The open period's start when left out."),
]
To = Annotated[
    datetime | None, strawberry.argument(description="The open period's end when left out.")
]
PointInterval = Annotated[Interval, strawberry.argument(description="How wide each point is.")]
GroupBy = Annotated[
    str | None, strawberry.argument(description="One of the meter's dimensions, such as app.")
]
Filter = Annotated[InvoiceFilter | None, strawberry.argument(description="Which of them.")]
Number = Annotated[str, strawberry.argument(description="As printed on it.")]


@strawberry.type(description="A person.")
class User:
    """Staff may see every organization."""

    id: strawberry.ID = strawberry.field(description="Opaque and stable.")
    email: str = strawberry.field(description="In lower case.")
    name: str = strawberry.field(description="For people.")
    is_staff: bool = strawberry.field(description="Whether they are the platform's staff.")

    @classmethod
    def of(cls, row: models.User) -> Self:
        """A row, shown."""
        return cls(
            id=global_id("User", row.id), email=row.email, name=row.name, is_staff=row.is_ops
        )


@strawberry.type(description="A person in an organization.")
class Membership:
    """One role each."""

    user: User = strawberry.field(description="Who.")
    role: Role = strawberry.field(description="What they may do there.")

    @classmethod
    def of(cls, member: accounts.Member) -> Self:
        """The domain's member, shown."""
        return cls(user=User.of(member.user), role=member.role)


@strawberry.type(description="Who is billed.")
class Organization(Node, Reduced):
    """Its money needs the scope billing:read, its usage usage:read."""

    key: str = strawberry.field(description="The `subject` of its usage events; never changes.")
    slug: str = strawberry.field(description="Its name in addresses.")
    name: str = strawberry.field(description="For people.")
    currency: CurrencyCode = strawberry.field(description="What it is billed in.")
    anchor_day: int = strawberry.field(
        description="The day its periods start on; 29-31 fall on a shorter month's last."
    )

    @classmethod
    def of(cls, row: models.Organization) -> Self:
        """A row, shown."""
        return cls(
            row=row,
            id=global_id("Organization", row.id),
            key=row.key,
            slug=row.slug,
            name=row.name,
            currency=CurrencyCode(row.currency),
            anchor_day=row.anchor_day,
        )

    @strawberry.field(description="What you may do in it.")
    def viewer_scopes(self, info: Info) -> list[Scope]:
        """In the order of the enum."""
        held = info.context.viewer.scopes_in(self.row.id)
        return [scope for scope in Scope if scope in held]

    @strawberry.field(description="The people in it, by e-mail. Needs billing:read.")
    async def users(self, info: Info) -> list[Membership]:
        """One query for all organizations of the request."""
        info.context.viewer.require(Scope.BILLING_READ, self.row.id)
        members = await info.context.loaders.members.load(self.row.id)
        return [Membership.of(member) for member in members]

    @strawberry.field(description="What it is on and will be, by start. Needs billing:read.")
    async def subscriptions(self, info: Info, also_ended: AlsoEnded = False) -> list[Subscription]:
        """With its own prices there."""
        info.context.viewer.require(Scope.BILLING_READ, self.row.id)
        async with info.context.reading() as session:
            return await subscriptions_of(
                session, self.row, info.context.now, also_ended=also_ended
            )

    @strawberry.field(
        description="What it owes now, from one snapshot; or what was shown at an earlier instant."
        " Needs billing:read.",
        metadata=priced(ESTIMATE_COST, asOf=PAST_COST),
    )
    async def current_charges(self, info: Info, as_of: AsOf = None) -> Estimate:
        """Made once for a request, whole, so that all its figures are of one moment."""
        info.context.viewer.require(Scope.BILLING_READ, self.row.id)
        if as_of is None:
            return Estimate.of(await info.context.loaders.charges.load(self.row))
        return Estimate.of(await info.context.loaders.past_charges.load((self.row, as_of)))

    @strawberry.field(
        description="Why its bill differs from the last issued one; null without one. Needs"
        " billing:read.",
        metadata=priced(BILL_DIFF_COST),
    )
    async def bill_diff(
        self, info: Info, same_days: SameDays = False, first: Shares = SHARES_DEFAULT
    ) -> BillDiff | None:
        """Of the same moment as `currentCharges`."""
        info.context.viewer.require(Scope.BILLING_READ, self.row.id)
        return await bill_diff_of(info, self.row, first, same_days=same_days)

    @strawberry.field(
        description="What its latest issued periods would have cost on another plan, at its prices"
        " of now: usage and fees, before reductions and tax. Needs billing:read.",
        metadata=priced(WHAT_IF_COST),
    )
    async def what_if(
        self,
        info: Info,
        plan: OtherPlan,
        periods: Periods = 1,
        instead_of: InsteadOf = None,
    ) -> WhatIf | None:
        """Nothing is changed. Null with an error, so that the rest is still answered."""
        info.context.viewer.require(Scope.BILLING_READ, self.row.id)
        return await what_if_on(info, self.row, plan, periods, instead_of)

    @strawberry.field(
        description="What one meter counted, by default by day. Needs usage:read.",
        metadata=priced(USAGE_COST),
    )
    async def usage(
        self,
        info: Info,
        meter: MeterSlug,
        from_: From = None,
        to: To = None,
        interval: PointInterval = Interval.DAY,
        group_by: GroupBy = None,
    ) -> Usage | None:
        """From the hourly buckets. Null with an error, so that the rest is still answered."""
        info.context.viewer.require(Scope.USAGE_READ, self.row.id)
        return await usage_of(info, self.row, Curve(meter, from_, to, interval, group_by))

    @strawberry.field(
        description="Usage events that were refused: kept 30 days, never counted; newest first."
        " Needs usage:read."
    )
    async def quarantine(
        self, info: Info, first: First = PAGE_SIZE_DEFAULT, after: After = None
    ) -> Connection[QuarantinedEvent]:
        """Those whose sender may know this organization."""
        info.context.viewer.require(Scope.USAGE_READ, self.row.id)
        return await page_of_quarantine(info, self.row.id, Page.asked(first, after))

    @strawberry.field(description="Newest first. Needs billing:read.")
    async def invoices(
        self,
        info: Info,
        first: First = PAGE_SIZE_DEFAULT,
        after: After = None,
        filter: Filter = None,
    ) -> Connection[Invoice]:
        """The open period is not among them: it is `currentCharges`."""
        info.context.viewer.require(Scope.BILLING_READ, self.row.id)
        return await page_of_invoices(info, self.row.id, Page.asked(first, after), filter)

    @strawberry.field(description="By its number, such as ACME-0001. Needs billing:read.")
    async def invoice(self, info: Info, number: Number) -> Invoice | None:
        """NOT_FOUND for another organization's."""
        info.context.viewer.require(Scope.BILLING_READ, self.row.id)
        return await invoice_by_number(info, self.row.id, number)


@strawberry.type(description="Who is asking.")
class Viewer:
    """An API key, or a signed-in person."""

    actor: str = strawberry.field(description="How the audit names you.")
    is_staff: bool = strawberry.field(description="Whether you may see and do everything.")
    scopes: list[Scope] = strawberry.field(
        description="Of a key; a person's depend on the organization (`viewerScopes`)."
    )

    @strawberry.field(description="You; null for a key.")
    async def user(self, info: Info) -> User | None:
        """The person whose session it is."""
        user_id = info.context.viewer.user_id
        if user_id is None:
            return None
        async with info.context.reading() as session:
            return User.of(await session.get_one(models.User, user_id))

    @strawberry.field(description="The one organization a key is bound to; null for none.")
    async def organization(self, info: Info) -> Organization | None:
        """So that an app need not be told its slug."""
        org_id = info.context.viewer.org_id
        return None if org_id is None else await organization_by_id(info, org_id)


async def organization_row(
    context: Context, session: AsyncSession, slug: str
) -> models.Organization:
    """Raises `OrganizationNotFound` for one that does not exist or that the viewer may not see."""
    row = await accounts.get_organization(session, slug)
    if not context.viewer.knows(row.id):
        raise OrganizationNotFound
    return row


async def organization_by_slug(info: Info, slug: str) -> Organization:
    """Raises `OrganizationNotFound` for one that does not exist or that the viewer may not see."""
    async with info.context.reading() as session:
        return Organization.of(await organization_row(info.context, session, slug))


async def organization_by_id(info: Info, org_id: OrgId) -> Organization:
    """Raises `OrganizationNotFound` for one that does not exist or that the viewer may not see."""
    if not info.context.viewer.knows(org_id):
        raise OrganizationNotFound
    async with info.context.reading() as session:
        return Organization.of(await accounts.get_organization_by_id(session, org_id))


async def page_of_organizations(info: Info, page: Page) -> Connection[Organization]:
    """Those the viewer may see, by slug."""
    after = None if page.after is None else BY_SLUG.position(page.after)[0]
    async with info.context.reading() as session:
        rows = await accounts.organizations_for(
            session, info.context.viewer, limit=page.limit, after_slug=after
        )
    return page.connection(rows, Organization.of, lambda row: BY_SLUG.cursor(row.slug))
