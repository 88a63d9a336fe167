"""Organizations, people and keys: for staff."""

from datetime import datetime
from typing import Self

import strawberry

from api.accounts import Membership, Organization, User, organization_row
from api.context import Context, Info
from api.errors import Payload, RefusalsAsData
from api.nodes import global_id, keys_of
from api.scalars import CurrencyCode
from billing import accounts, api_keys, models
from billing.ids import ApiKeyId
from billing.models import Role, Scope


@strawberry.type(description="A key for another app.")
class ApiKey:
    """Only a hash of it is kept."""

    id: strawberry.ID = strawberry.field(description="Opaque and stable.")
    name: str = strawberry.field(description="For people.")
    hint: str = strawberry.field(description="How its token begins.")
    scopes: list[Scope] = strawberry.field(description="What it may do.")
    expires_at: datetime | None = strawberry.field(description="When it ends; null for never.")
    revoked_at: datetime | None = strawberry.field(description="When it was ended; null if not.")

    @classmethod
    def of(cls, row: models.ApiKey) -> Self:
        """A row, shown."""
        return cls(
            id=global_id("ApiKey", row.id),
            name=row.name,
            hint=row.hint,
            scopes=[Scope(scope) for scope in row.scopes],
            expires_at=row.expires_at,
            revoked_at=row.revoked_at,
        )


@strawberry.input(description="Who is to be billed.")
class CreateOrganizationInput:
    """Its first period is the one that holds now."""

    key: str = strawberry.field(description="The `subject` of its usage events; never changes.")
    slug: str = strawberry.field(description="Its name in addresses.")
    name: str = strawberry.field(description="For people.")
    currency: CurrencyCode = strawberry.field(description="What it is billed in.")
    billing_email: str = strawberry.field(description="Where invoices are sent.")
    anchor_day: int = strawberry.field(
        default=1, description="The day of the month its periods start on, 1 to 31."
    )


@strawberry.type(description="The organization, or why not.")
class CreateOrganizationPayload(Payload):
    """Its books are open."""

    organization: Organization | None = strawberry.field(default=None, description="The new one.")


@strawberry.input(description="A person.")
class CreateUserInput:
    """Without a password they cannot sign in by one."""

    email: str = strawberry.field(description="Kept in lower case.")
    name: str = strawberry.field(description="For people.")
    password: str | None = strawberry.field(default=None, description="Kept as an argon2 hash.")
    is_staff: bool = strawberry.field(
        default=False, description="Whether they may see and do everything."
    )


@strawberry.type(description="The person, or why not.")
class CreateUserPayload(Payload):
    """Add them to organizations by `addMember`."""

    user: User | None = strawberry.field(default=None, description="The person.")


@strawberry.input(description="Who gets which role where.")
class AddMemberInput:
    """A role they had there before is replaced."""

    organization: str = strawberry.field(description="The organization's slug.")
    email: str = strawberry.field(description="The person's.")
    role: Role = strawberry.field(description="What they may do there.")


@strawberry.type(description="The membership, or why not.")
class AddMemberPayload(Payload):
    """As it is now."""

    membership: Membership | None = strawberry.field(default=None, description="As it is now.")


@strawberry.input(description="A key for another app.")
class CreateApiKeyInput:
    """Give it no more than it needs."""

    name: str = strawberry.field(description="For people.")
    scopes: list[Scope] = strawberry.field(description="What it may do.")
    organization: str | None = strawberry.field(
        default=None, description="The slug of the one organization it is for; null for all."
    )
    expires_at: datetime | None = strawberry.field(
        default=None, description="When it ends; never if left out."
    )


@strawberry.type(description="The key and its token, or why not.")
class CreateApiKeyPayload(Payload):
    """The token cannot be read again."""

    api_key: ApiKey | None = strawberry.field(default=None, description="The key.")
    token: str | None = strawberry.field(
        default=None, description="Shown this once: `Authorization: Bearer ssk_…`."
    )


@strawberry.input(description="Which key.")
class RevokeApiKeyInput:
    """For good."""

    id: strawberry.ID = strawberry.field(description="The key's id.")


@strawberry.type(description="The key, or why not.")
class RevokeApiKeyPayload(Payload):
    """It ends at once here and within 30 seconds everywhere."""

    api_key: ApiKey | None = strawberry.field(default=None, description="The key.")


@strawberry.type
class AccountMutations:
    """All for staff, and for keys with the scope admin."""

    @strawberry.mutation(
        description="Open an organization's books. Staff only.",
        extensions=[RefusalsAsData(CreateOrganizationPayload)],
    )
    async def create_organization(
        self,
        info: Info,
        input: CreateOrganizationInput,
    ) -> CreateOrganizationPayload:
        """Audited."""
        context = _staff(info)
        new = accounts.NewOrganization(
            key=input.key,
            slug=input.slug,
            name=input.name,
            currency=input.currency,
            billing_email=input.billing_email,
            anchor_day=input.anchor_day,
        )
        async with context.runtime.sessions.begin() as session:
            row = await accounts.create_organization(
                session, new, actor=context.viewer.actor, now=context.now
            )
        return CreateOrganizationPayload(organization=Organization.of(row))

    @strawberry.mutation(
        description="Make a person known. Staff only.",
        extensions=[RefusalsAsData(CreateUserPayload)],
    )
    async def create_user(
        self,
        info: Info,
        input: CreateUserInput,
    ) -> CreateUserPayload:
        """Audited."""
        context = _staff(info)
        new = accounts.NewUser(
            email=input.email, name=input.name, password=input.password, is_ops=input.is_staff
        )
        async with context.runtime.sessions.begin() as session:
            row = await accounts.create_user(
                session, new, actor=context.viewer.actor, now=context.now
            )
        return CreateUserPayload(user=User.of(row))

    @strawberry.mutation(
        description="Give a person a role in an organization. Staff only.",
        extensions=[RefusalsAsData(AddMemberPayload)],
    )
    async def add_member(
        self,
        info: Info,
        input: AddMemberInput,
    ) -> AddMemberPayload:
        """Audited."""
        context = _staff(info)
        async with context.runtime.sessions.begin() as session:
            org = await organization_row(context, session, input.organization)
            user = await accounts.get_user_by_email(session, input.email)
            row = await accounts.add_member(
                session, org, user, input.role, actor=context.viewer.actor, now=context.now
            )
        return AddMemberPayload(membership=Membership(user=User.of(user), role=row.role))

    @strawberry.mutation(
        description="Make a key; its token is shown this once. Staff only.",
        extensions=[RefusalsAsData(CreateApiKeyPayload)],
    )
    async def create_api_key(
        self,
        info: Info,
        input: CreateApiKeyInput,
    ) -> CreateApiKeyPayload:
        """Audited, without the token."""
        context = _staff(info)
        async with context.runtime.sessions.begin() as session:
            slug = input.organization
            org = None if slug is None else await organization_row(context, session, slug)
            new = api_keys.NewKey(
                name=input.name,
                scopes=input.scopes,
                org_id=org.id if org else None,
                expires_at=input.expires_at,
            )
            row, token = await api_keys.create_key(
                session, new, actor=context.viewer.actor, now=context.now
            )
        return CreateApiKeyPayload(api_key=ApiKey.of(row), token=token)

    @strawberry.mutation(
        description="End a key for good. Staff only.",
        extensions=[RefusalsAsData(RevokeApiKeyPayload)],
    )
    async def revoke_api_key(
        self,
        info: Info,
        input: RevokeApiKeyInput,
    ) -> RevokeApiKeyPayload:
        """Audited; revoking it again changes nothing."""
        context = _staff(info)
        (key_id,) = keys_of("ApiKey", 1, input.id, field="id")
        async with context.runtime.sessions.begin() as session:
            row = await api_keys.revoke_key(
                session, ApiKeyId(key_id), actor=context.viewer.actor, now=context.now
            )
        return RevokeApiKeyPayload(api_key=ApiKey.of(row))


def _staff(info: Info) -> Context:
    info.context.viewer.require_ops()
    return info.context
