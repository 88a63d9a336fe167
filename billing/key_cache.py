"""What a token in `Authorization: Bearer ssk_…` may do, read through a cache of this process."""

import asyncio
import hashlib
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType

from sqlalchemy import or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from billing.accounts import Viewer
from billing.errors import Unauthenticated
from billing.models import ApiKey, Scope
from billing.runtime import Runtime

KEY_PREFIX = "ssk_"
LAST_USED_PRECISION = timedelta(minutes=1)

TRUSTED_FOR = timedelta(seconds=30)
"""How long a revocation made by another process may go unnoticed."""

ENTRIES_MAX = 10_000

_READ_SECONDS_MAX = 5.0
"""A database that hangs must not pile up whoever asks who they are."""


@dataclass(frozen=True, slots=True)
class KnownKey:
    """A key, and whom it speaks for."""

    key: ApiKey
    viewer: Viewer
    read_at: datetime


@dataclass(slots=True)
class KeyCache:
    """Keys by the SHA-256 of their tokens, each trusted for 30 seconds after it was read."""

    _read: dict[bytes, KnownKey] = field(default_factory=dict)
    _distrusted: set[bytes] = field(default_factory=set)

    def find(self, sha256: bytes, now: datetime) -> KnownKey | None:
        """The key as it was read less than 30 seconds ago, unless it must be read again."""
        known = self._read.get(sha256)
        if known is None or sha256 in self._distrusted:
            return None
        return known if timedelta(0) <= now - known.read_at < TRUSTED_FOR else None

    def keep(self, known: KnownKey) -> None:
        """Trust what was just read."""
        if len(self._read) >= ENTRIES_MAX:
            self._read.clear()
        self._read[known.key.sha256] = known

    def distrust(self, sha256: bytes) -> None:
        """Read this key at every use from now on.

        Whoever revokes a key says so before the commit, so no request can slip between: it reads
        what is committed, and a revocation that is rolled back has ended nothing.
        """
        self._distrusted.add(sha256)


KEYS = KeyCache()
"""This process's own: tokens are random, so databases cannot be confused."""


async def viewer_for_key(runtime: Runtime, token: str, now: datetime) -> Viewer:
    """Who a token speaks for; `last_used_at` is kept to the minute.

    Raises `Unauthenticated` with `KEY_UNKNOWN`, `KEY_REVOKED` or `KEY_EXPIRED`. Expiry is looked
    at on every use, revocation at once here and within 30 seconds in other processes.
    """
    sha256 = sha256_of(token)
    known = KEYS.find(sha256, now)
    if known is None:
        async with asyncio.timeout(_READ_SECONDS_MAX):
            key = await _read(runtime, sha256, now)
        known = KnownKey(key, _viewer(key), now)
        KEYS.keep(known)
    _refuse_ended(known.key, now)
    return known.viewer


def _viewer(key: ApiKey) -> Viewer:
    return Viewer(
        actor=f"key:{key.hint}",
        scopes=frozenset(map(Scope, key.scopes)),
        roles=MappingProxyType({}),
        org_id=key.org_id,
        user_id=None,
        is_ops=False,
    )


def sha256_of(token: str) -> bytes:
    """All that is kept of a token: 256 random bits need no salt and no slowness."""
    return hashlib.sha256(token.encode(errors="surrogatepass")).digest()


async def _read(runtime: Runtime, sha256: bytes, now: datetime) -> ApiKey:
    async with runtime.sessions.begin() as session:
        key = await session.scalar(select(ApiKey).where(ApiKey.sha256 == sha256))
        if key is None:
            raise Unauthenticated(
                f"Nobody has this key; keys start with {KEY_PREFIX} and are shown only once.",
                code="KEY_UNKNOWN",
            )
        _refuse_ended(key, now)
        await _note_use(session, key, now)
    return key


async def _note_use(session: AsyncSession, key: ApiKey, now: datetime) -> None:
    due = now - LAST_USED_PRECISION
    if key.last_used_at is None or key.last_used_at <= due:
        # Asked again in the statement, so that many processes at once write once a minute too.
        unused = or_(ApiKey.last_used_at.is_(None), ApiKey.last_used_at <= due)
        await session.execute(
            update(ApiKey).where(ApiKey.id == key.id, unused).values(last_used_at=now)
        )


def _refuse_ended(key: ApiKey, now: datetime) -> None:
    if key.revoked_at is not None:
        raise Unauthenticated(
            f"The key {key.hint}… was revoked on {key.revoked_at:%Y-%m-%d %H:%M} UTC.",
            code="KEY_REVOKED",
        )
    if key.expires_at is not None and key.expires_at <= now:
        raise Unauthenticated(
            f"The key {key.hint}… expired on {key.expires_at:%Y-%m-%d %H:%M} UTC.",
            code="KEY_EXPIRED",
        )
