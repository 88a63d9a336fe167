"""API keys: 256 random bits shown once; only their SHA-256 is kept."""

import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from billing.audit import record_act
from billing.errors import Invalid, NotFound
from billing.ids import ApiKeyId, OrgId
from billing.key_cache import KEY_PREFIX, KEYS, sha256_of, viewer_for_key
from billing.models import ApiKey, Scope
from billing.names import checked_name, did_you_mean
from billing.rules.periods import YEARS_TEXT, is_within_years

__all__ = ["NewKey", "api_keys", "create_key", "revoke_key", "viewer_for_key"]

_TOKEN_BYTES = 32
_HINT_CHARACTERS = 8


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key for another app: bound to one organization, or the platform's own (`org_id` None).

    `expires_at` None is never.
    """

    name: str
    scopes: Collection[str]
    org_id: OrgId | None = None
    expires_at: datetime | None = None


async def create_key(
    session: AsyncSession, new: NewKey, *, actor: str, now: datetime
) -> tuple[ApiKey, str]:
    """The key's row, and its token, which can never be read again. Raises `Invalid`."""
    token = KEY_PREFIX + secrets.token_urlsafe(_TOKEN_BYTES)
    key = ApiKey(
        name=checked_name(new.name),
        hint=token[:_HINT_CHARACTERS],
        sha256=sha256_of(token),
        scopes=_checked_scopes(new),
        org_id=new.org_id,
        expires_at=_checked_expiry(new.expires_at, now),
        recorded_at=now,
    )
    session.add(key)
    await session.flush()
    await _record(session, "key.created", key, actor, now)
    return key, token


def _checked_scopes(new: NewKey) -> list[str]:
    if not new.scopes:
        raise Invalid(
            f"A key needs at least one scope of {', '.join(Scope)}.",
            code="MISSING_SCOPES",
            field="scopes",
        )
    for scope in new.scopes:
        if scope not in list(Scope):
            raise Invalid(
                f"There is no scope {scope[:40]!r}.{did_you_mean(scope, Scope)}",
                code="UNKNOWN_SCOPE",
                field="scopes",
            )
    if Scope.ADMIN in new.scopes and new.org_id is not None:
        raise Invalid(
            f"The scope {Scope.ADMIN} is for the whole platform: leave out either it or the"
            " organization.",
            code="ADMIN_IS_PLATFORM_WIDE",
            field="scopes",
        )
    return [scope for scope in Scope if scope in new.scopes]


def _checked_expiry(expires_at: datetime | None, now: datetime) -> datetime | None:
    if expires_at is not None and expires_at <= now:
        raise Invalid(
            "The key would have expired already: give a later instant, or none.",
            code="EXPIRES_IN_PAST",
            field="expiresAt",
        )
    if expires_at is not None and not is_within_years(expires_at):
        raise Invalid(
            f"A key must expire within {YEARS_TEXT}, or never.",
            code="INVALID_EXPIRY",
            field="expiresAt",
        )
    return expires_at


async def api_keys(session: AsyncSession, org_id: OrgId | None = None) -> Sequence[ApiKey]:
    """Every key, or those bound to one organization, oldest first."""
    statement = select(ApiKey).order_by(ApiKey.recorded_at, ApiKey.id)
    if org_id is not None:
        statement = statement.where(ApiKey.org_id == org_id)
    return (await session.scalars(statement)).all()


async def revoke_key(
    session: AsyncSession, key_id: ApiKeyId, *, actor: str, now: datetime
) -> ApiKey:
    """End a key for good: at once in this process, within 30 seconds in others.

    One revoked before stays as it is. Raises `NotFound` (`KEY_NOT_FOUND`).
    """
    key = await session.get(ApiKey, key_id, with_for_update=True)
    if key is None:
        raise NotFound(f"There is no key {key_id}.", code="KEY_NOT_FOUND")
    if key.revoked_at is None:
        KEYS.distrust(key.sha256)
        key.revoked_at = now
        await _record(session, "key.revoked", key, actor, now)
    return key


async def _record(
    session: AsyncSession, action: str, key: ApiKey, actor: str, now: datetime
) -> None:
    await record_act(
        session,
        actor=actor,
        action=action,
        subject=f"{key.name} ({key.hint}…)",
        org_id=key.org_id,
        details={"key_id": str(key.id), "scopes": key.scopes},
        now=now,
    )
