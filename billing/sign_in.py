"""Signing in: an e-mail and a password against a session token, kept only as its SHA-256."""

import hashlib
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from types import MappingProxyType

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from billing.accounts import ALL_SCOPES, Viewer
from billing.errors import Invalid, Unauthenticated
from billing.ids import UserId
from billing.models import Membership, User, WebSession
from billing.names import checked_email
from billing.passwords import is_password
from billing.runtime import Sessions

SESSION_LIFETIME = timedelta(days=14)
SANDBOX_SESSION_LIFETIME = timedelta(days=400)
"""A demo that travels a month ahead must not sign its visitor out."""

DEMO_EMAIL_ENDING = ".example"
"""RFC 2606: a domain that never exists."""

_DEMO_PEOPLE_MAX = 8
_TOKEN_BYTES = 32


class WrongCredentials(Unauthenticated):
    """The same answer for an unknown e-mail and a wrong password."""

    code = "WRONG_CREDENTIALS"

    def __init__(self) -> None:
        super().__init__("The e-mail or the password is wrong.")


async def sign_in(sessions: Sessions, email: str, password: str, now: datetime) -> str:
    """A new session's token, for the browser alone. Raises `WrongCredentials`.

    It takes as long for an address nobody has as for one somebody has, and holds no connection
    while the password is checked: a flood of guesses must not keep the database from others.
    """
    async with sessions() as session:
        user = await _find_user(session, email)
    if not await is_password(password, user.password_hash if user else None) or user is None:
        raise WrongCredentials
    async with sessions.begin() as session:
        return await _start_session(session, user.id, now + SESSION_LIFETIME, now)


async def _find_user(session: AsyncSession, email: str) -> User | None:
    try:
        address = checked_email(email)
    except Invalid:
        return None
    return await session.scalar(select(User).where(User.email == address))


async def sign_in_as(session: AsyncSession, user_id: UserId, now: datetime) -> str:
    """One click, no password. The edge must offer it in the sandbox only."""
    return await _start_session(session, user_id, now + SANDBOX_SESSION_LIFETIME, now)


async def _start_session(
    session: AsyncSession, user_id: UserId, expires_at: datetime, now: datetime
) -> str:
    await session.execute(
        delete(WebSession).where(WebSession.user_id == user_id, WebSession.expires_at <= now)
    )
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    session.add(
        WebSession(
            token_sha256=_sha256(token), user_id=user_id, expires_at=expires_at, recorded_at=now
        )
    )
    return token


async def viewer_for_session(session: AsyncSession, token: str, now: datetime) -> Viewer | None:
    """Whose session it is, with their roles as they are now; None when it is over or unknown."""
    user = await session.scalar(
        select(User)
        .join(WebSession, WebSession.user_id == User.id)
        .where(WebSession.token_sha256 == _sha256(token), WebSession.expires_at > now)
    )
    if user is None:
        return None
    memberships = await session.scalars(select(Membership).where(Membership.user_id == user.id))
    return Viewer(
        actor=f"person:{user.email}",
        scopes=ALL_SCOPES if user.is_ops else frozenset(),
        roles=MappingProxyType({x.org_id: x.role for x in memberships}),
        org_id=None,
        user_id=user.id,
        is_ops=user.is_ops,
    )


async def sign_out(session: AsyncSession, token: str) -> None:
    """End the session; an unknown one has ended already."""
    await session.execute(delete(WebSession).where(WebSession.token_sha256 == _sha256(token)))


def _sha256(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="surrogatepass")).digest()


async def people_of_the_demo(session: AsyncSession) -> Sequence[User]:
    """Those `sign_in_as` is offered for: addresses under `.example`, which nobody real can have."""
    people = await session.scalars(
        select(User)
        .where(User.email.endswith(DEMO_EMAIL_ENDING))
        .order_by(User.is_ops, User.recorded_at, User.email)
        .limit(_DEMO_PEOPLE_MAX)
    )
    return people.all()
