import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from types import MappingProxyType

import pytest
from sqlalchemy import func, select

from billing.accounts import (
    COMMAND_LINE,
    NewOrganization,
    NewUser,
    OrganizationNotFound,
    Viewer,
    add_member,
    create_organization,
    create_user,
    get_organization,
    members_by_org,
    organizations_by_key,
    organizations_for,
)
from billing.errors import BillingError, Forbidden
from billing.ids import OrgId, UserId, new_id
from billing.models import AuditEntry, Organization, Role, Scope
from billing.runtime import Sessions
from tests.factories import an_organization
from tests.world import NOVEMBER_10

ACME = NewOrganization("acme", "acme-corp", "Acme", "USD", "Bills@Acme.example", anchor_day=31)
OURS, THEIRS = OrgId(new_id()), OrgId(new_id())


async def create(sessions: Sessions, new: NewOrganization) -> Organization:
    async with sessions.begin() as session:
        return await create_organization(session, new, actor="cli", now=NOVEMBER_10)


async def test_an_organization_opens_its_books_with_the_period_that_holds_now(
    sessions: Sessions,
) -> None:
    org = await create(sessions, ACME)

    assert org.open_period_end == datetime(2026, 11, 30, tzinfo=UTC)
    assert (org.billing_email, org.invoice_prefix) == ("bills@acme.example", "ACMECORP")
    async with sessions() as session:
        act = await session.scalar(select(AuditEntry))
        assert act is not None
        assert (act.actor, act.action, act.org_id) == ("cli", "organization.created", org.id)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"key": "a b"}, "INVALID_KEY"),
        ({"key": "x" * 129}, "INVALID_KEY"),
        ({"slug": "Acme"}, "INVALID_SLUG"),
        ({"slug": "a/b"}, "INVALID_SLUG"),
        ({"name": " "}, "INVALID_NAME"),
        ({"name": "a\0b"}, "INVALID_NAME"),
        ({"currency": "XXX"}, "UNKNOWN_CURRENCY"),
        ({"billing_email": "nobody"}, "INVALID_EMAIL"),
        ({"billing_email": "a@b"}, "INVALID_EMAIL"),
        ({"anchor_day": 0}, "INVALID_ANCHOR_DAY"),
        ({"anchor_day": 32}, "INVALID_ANCHOR_DAY"),
    ],
)
async def test_what_cannot_be_an_organization_is_refused(
    sessions: Sessions, change: dict[str, str | int], code: str
) -> None:
    with pytest.raises(BillingError) as refused:
        await create(sessions, replace(ACME, **change))  # type: ignore[arg-type]

    assert refused.value.code == code
    assert refused.value.field
    async with sessions() as session:
        assert not await session.scalar(select(func.count()).select_from(AuditEntry))


async def test_of_two_made_at_once_with_one_slug_one_is_refused(sessions: Sessions) -> None:
    made = await asyncio.gather(
        create(sessions, ACME),
        create(sessions, replace(ACME, key="acme-2")),
        return_exceptions=True,
    )

    codes = [one.code for one in made if isinstance(one, BillingError)]
    assert codes == ["ORGANIZATION_SLUG_TAKEN"]


async def test_a_key_is_one_organizations(sessions: Sessions) -> None:
    await create(sessions, ACME)
    with pytest.raises(BillingError, match="The key 'acme' is taken") as refused:
        await create(sessions, replace(ACME, slug="other"))
    assert refused.value.code == "ORGANIZATION_KEY_TAKEN"


async def test_invoice_prefixes_differ_where_slugs_begin_alike(sessions: Sessions) -> None:
    one = await create(sessions, ACME)
    other = await create(sessions, replace(ACME, key="acme-2", slug="acme-corporation"))

    assert other.invoice_prefix != one.invoice_prefix
    assert len(other.invoice_prefix) == 8
    assert other.invoice_prefix.startswith("ACME")


async def test_a_person_has_one_role_in_an_organization_the_latest(sessions: Sessions) -> None:
    async with sessions.begin() as session:
        org = await an_organization(session, key="acme")
        dana = NewUser("Dana@Acme.example", "Dana")
        user = await create_user(session, dana, actor="cli", now=NOVEMBER_10)
        for role in (Role.READONLY, Role.OWNER):
            await add_member(session, org, user, role, actor="cli", now=NOVEMBER_10)

    async with sessions() as session:
        found = await members_by_org(session, [org.id])
        acts = (await session.scalars(select(AuditEntry.action).order_by(AuditEntry.id))).all()
    assert [(x.user.email, x.role) for x in found[org.id]] == [("dana@acme.example", Role.OWNER)]
    assert list(acts) == ["user.created", "membership.set", "membership.set"]


async def test_an_address_is_one_persons_however_it_is_written(sessions: Sessions) -> None:
    async with sessions.begin() as session:
        await create_user(session, NewUser("d@a.example", "Dana"), actor="cli", now=NOVEMBER_10)
        with pytest.raises(BillingError) as refused:
            await create_user(session, NewUser("D@a.example", "D"), actor="cli", now=NOVEMBER_10)
    assert refused.value.code == "EMAIL_TAKEN"


async def test_organizations_are_found_by_key_and_by_page(sessions: Sessions) -> None:
    async with sessions.begin() as session:
        made = [await an_organization(session, key=key) for key in ("a", "b", "c")]
    bound = replace(COMMAND_LINE, is_ops=False, org_id=made[1].id)

    async with sessions() as session:
        by_key = await organizations_by_key(session, ["a", "zz", "no such\0key"])
        first = await organizations_for(session, COMMAND_LINE, limit=2)
        rest = await organizations_for(session, COMMAND_LINE, limit=2, after_slug=first[-1].slug)
        own = await organizations_for(session, bound, limit=9)
        with pytest.raises(OrganizationNotFound):
            await get_organization(session, "zz")
    assert set(by_key) == {"a"}
    assert [x.slug for x in [*first, *rest]] == ["a", "b", "c"]
    assert [x.slug for x in own] == ["b"]


def person(role: Role | None, *, is_ops: bool = False) -> Viewer:
    roles = {OURS: role} if role else {}
    user_id = UserId(new_id())
    return Viewer("person:x", frozenset(), MappingProxyType(roles), None, user_id, is_ops)


def key(*scopes: Scope, org_id: OrgId | None = None) -> Viewer:
    return Viewer("key:ssk_x", frozenset(scopes), MappingProxyType({}), org_id, None, is_ops=False)


@pytest.mark.parametrize(
    ("viewer", "allowed"),
    [
        (person(Role.OWNER), "usage:read billing:read billing:write"),
        (person(Role.BILLING), "usage:read billing:read billing:write"),
        (person(Role.MEMBER), "usage:read billing:read"),
        (person(Role.READONLY), "usage:read billing:read"),
        (person(None), ""),
        (person(None, is_ops=True), "usage:write usage:read billing:read billing:write admin"),
        (key(Scope.USAGE_WRITE, org_id=OURS), "usage:write"),
        (key(Scope.USAGE_WRITE, org_id=THEIRS), ""),
        (key(Scope.BILLING_READ), "billing:read"),
        (key(Scope.ADMIN), "usage:write usage:read billing:read billing:write admin"),
    ],
)
def test_who_may_do_what(viewer: Viewer, allowed: str) -> None:
    assert {scope for scope in Scope if viewer.may(scope, OURS)} == set(allowed.split())


@pytest.mark.parametrize("stranger", [person(Role.OWNER), key(*Scope, org_id=OURS)])
def test_another_organization_is_as_one_that_does_not_exist(stranger: Viewer) -> None:
    with pytest.raises(OrganizationNotFound):
        stranger.require(Scope.BILLING_READ, THEIRS)


@pytest.mark.parametrize("known", [person(Role.MEMBER), key(Scope.USAGE_READ)])
def test_a_missing_scope_is_named(known: Viewer) -> None:
    with pytest.raises(Forbidden, match="billing:write"):
        known.require(Scope.BILLING_WRITE, OURS)


@pytest.mark.parametrize(
    "viewer", [person(Role.OWNER), key(Scope.BILLING_WRITE), key(Scope.ADMIN, org_id=OURS)]
)
def test_staff_acts_are_for_staff(viewer: Viewer) -> None:
    with pytest.raises(Forbidden):
        viewer.require_ops()


@pytest.mark.parametrize("viewer", [person(None, is_ops=True), key(Scope.ADMIN), COMMAND_LINE])
def test_staff_and_platform_admin_keys_act_as_staff(viewer: Viewer) -> None:
    viewer.require_ops()
