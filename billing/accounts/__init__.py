"""Who: organizations, the people in them, and whoever is asking."""

from billing.accounts.organizations import (
    NewOrganization,
    change_organization,
    create_organization,
    get_organization,
    get_organization_by_id,
    organizations_by_id,
    organizations_by_key,
    organizations_for,
)
from billing.accounts.people import (
    Member,
    NewUser,
    add_member,
    create_user,
    get_user_by_email,
    members_by_org,
)
from billing.accounts.viewers import (
    ALL_SCOPES,
    COMMAND_LINE,
    ROLE_SCOPES,
    OrganizationNotFound,
    Viewer,
)

__all__ = [
    "ALL_SCOPES",
    "COMMAND_LINE",
    "ROLE_SCOPES",
    "Member",
    "NewOrganization",
    "NewUser",
    "OrganizationNotFound",
    "Viewer",
    "add_member",
    "change_organization",
    "create_organization",
    "create_user",
    "get_organization",
    "get_organization_by_id",
    "get_user_by_email",
    "members_by_org",
    "organizations_by_id",
    "organizations_by_key",
    "organizations_for",
]
