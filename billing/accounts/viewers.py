"""Who is asking, at any edge, and what they may see and do."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from billing.errors import Forbidden, NotFound
from billing.ids import OrgId, UserId
from billing.models import Role, Scope

_READ = frozenset({Scope.USAGE_READ, Scope.BILLING_READ})
_WRITE = _READ | {Scope.BILLING_WRITE}

ROLE_SCOPES: Mapping[Role, frozenset[Scope]] = MappingProxyType(
    {Role.OWNER: _WRITE, Role.BILLING: _WRITE, Role.MEMBER: _READ, Role.READONLY: _READ}
)
ALL_SCOPES = frozenset(Scope)


class OrganizationNotFound(NotFound):
    """The same words for one that does not exist and one the viewer has no part in."""

    def __init__(self) -> None:
        super().__init__("There is no such organization, or you may not see it.")


@dataclass(frozen=True, slots=True)
class Viewer:
    """A person, a key or the command line. `actor` is how the audit names them.

    A person has `roles`, one for each organization; a key has `scopes`, and `org_id` when it is
    bound to one organization. Staff, and a platform key with the scope `admin`, may do everything.
    """

    actor: str
    scopes: frozenset[Scope]
    roles: Mapping[OrgId, Role]
    org_id: OrgId | None
    user_id: UserId | None
    is_ops: bool

    @property
    def is_staff(self) -> bool:
        """Whether they may see and do everything, in every organization."""
        return self.is_ops or (self._is_platform_key and Scope.ADMIN in self.scopes)

    @property
    def sees_all(self) -> bool:
        """Whether no organization is hidden from them: staff, and keys bound to none."""
        return self.is_staff or self._is_platform_key

    @property
    def _is_platform_key(self) -> bool:
        return self.user_id is None and self.org_id is None

    def scopes_in(self, org_id: OrgId) -> frozenset[Scope]:
        """What they may do in one organization."""
        if self.is_staff:
            return ALL_SCOPES
        if self.user_id is not None:
            role = self.roles.get(org_id)
            return ROLE_SCOPES[role] if role else frozenset()
        return self.scopes if self.org_id in {None, org_id} else frozenset()

    def may(self, scope: Scope, org_id: OrgId) -> bool:
        """Whether they have `scope` in that organization."""
        return scope in self.scopes_in(org_id)

    def knows(self, org_id: OrgId) -> bool:
        """Whether they may know that it exists at all."""
        return self.sees_all or self.org_id == org_id or org_id in self.roles

    def require(self, scope: Scope, org_id: OrgId) -> None:
        """Raise unless they have `scope` there.

        `OrganizationNotFound` for somebody else's organization, whether it exists or not;
        `Forbidden` naming the scope for one they know.
        """
        if not self.knows(org_id):
            raise OrganizationNotFound
        if not self.may(scope, org_id):
            raise Forbidden(f"This needs the scope {scope}, which {self._standing(org_id)}.")

    def require_ops(self) -> None:
        """Raise `Forbidden` unless they are staff or a platform key with the scope `admin`."""
        if not self.is_staff:
            raise Forbidden(f"This is for staff, or a key with the scope {Scope.ADMIN}.")

    def _standing(self, org_id: OrgId) -> str:
        role = self.roles.get(org_id)
        return f"the role {role} does not have" if role else "this key does not have"


COMMAND_LINE = Viewer(
    actor="cli",
    scopes=ALL_SCOPES,
    roles=MappingProxyType({}),
    org_id=None,
    user_id=None,
    is_ops=True,
)
"""Whoever runs `stripe-sync` holds the database's password already."""
