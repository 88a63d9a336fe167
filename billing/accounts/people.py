"""People, and which organizations they belong to."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from billing.accounts.uniqueness import Taken, add_unique
from billing.audit import record_act
from billing.errors import NotFound
from billing.ids import OrgId
from billing.models import Membership, Organization, Role, User
from billing.names import checked_email, checked_name
from billing.passwords import hash_password


@dataclass(frozen=True, slots=True)
class NewUser:
    """A person. Without a password they cannot sign in by one; `is_ops` makes them staff."""

    email: str
    name: str
    password: str | None = None
    is_ops: bool = False


@dataclass(frozen=True, slots=True)
class Member:
    """A person in one organization."""

    user: User
    role: Role


async def create_user(session: AsyncSession, new: NewUser, *, actor: str, now: datetime) -> User:
    """Raises `Invalid` naming the field, or `Taken` (`EMAIL_TAKEN`)."""
    email = checked_email(new.email)
    user = User(
        email=email,
        name=checked_name(new.name),
        password_hash=None if new.password is None else await hash_password(new.password),
        is_ops=new.is_ops,
        recorded_at=now,
    )
    taken = Taken(f"{email} is a user already.", code="EMAIL_TAKEN", field="email")
    await add_unique(session, user, {"uq_users_email": taken})
    await record_act(
        session,
        actor=actor,
        action="user.created",
        subject=email,
        details={"is_ops": new.is_ops},
        now=now,
    )
    return user


async def get_user_by_email(session: AsyncSession, email: str) -> User:
    """Raises `NotFound` (`USER_NOT_FOUND`), or `Invalid` for what is no address."""
    address = checked_email(email)
    found = await session.scalar(select(User).where(User.email == address))
    if found is None:
        raise NotFound(f"Nobody has the address {address}.", code="USER_NOT_FOUND", field="email")
    return found


async def add_member(
    session: AsyncSession,
    org: Organization,
    user: User,
    role: Role,
    *,
    actor: str,
    now: datetime,
) -> Membership:
    """Give a person a role in an organization; another role before is replaced by this one."""
    membership = await session.scalar(
        insert(Membership)
        .values(org_id=org.id, user_id=user.id, role=role, recorded_at=now)
        .on_conflict_do_update(index_elements=["org_id", "user_id"], set_={"role": role})
        .returning(Membership)
        .execution_options(populate_existing=True)
    )
    assert membership is not None, "inserted or updated"
    await record_act(
        session,
        actor=actor,
        action="membership.set",
        subject=user.email,
        org_id=org.id,
        details={"role": role},
        now=now,
    )
    return membership


async def members_by_org(
    session: AsyncSession, org_ids: Collection[OrgId]
) -> dict[OrgId, list[Member]]:
    """Everybody in several organizations in one query, by e-mail; empty lists for none."""
    found: dict[OrgId, list[Member]] = {org_id: [] for org_id in org_ids}
    rows = await session.execute(
        select(Membership.org_id, User, Membership.role)
        .join(User, User.id == Membership.user_id)
        .where(Membership.org_id.in_(org_ids))
        .order_by(User.email)
    )
    for org_id, user, role in rows:
        found[org_id].append(Member(user, role))
    return found
