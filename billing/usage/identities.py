"""Identities: the database decides who was first, also between requests at once."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import and_, select
from sqlalchemy.ext.asyncio import AsyncSession

from billing.ids import EventId
from billing.models import UsageIdentity
from billing.usage.candidates import Candidate, Holder, Identity
from billing.usage.rows import as_given, given, insert_rows

_KEY = ("org_id", "source", "external_id")
_COLUMNS = (*_KEY, "event_id", "fingerprint", "given_time", "recorded_at")
_BEFORE = -1

_CLAIM = (
    insert_rows(UsageIdentity, _COLUMNS)
    .on_conflict_do_nothing()
    .returning(UsageIdentity.__table__.c.event_id)
)
_WANTED = given(UsageIdentity, _KEY)
_FIND = select(
    UsageIdentity.org_id,
    UsageIdentity.source,
    UsageIdentity.external_id,
    UsageIdentity.fingerprint,
    UsageIdentity.given_time,
).join(_WANTED, and_(*(UsageIdentity.__table__.c[name] == _WANTED.c[name] for name in _KEY)))


async def claim(
    session: AsyncSession, candidates: Sequence[Candidate], now: datetime
) -> dict[Identity, Holder]:
    """Who holds each identity of the batch: the first candidate for it, unless it was taken.

    An insert waits for another transaction that is inserting the same identity, so that of two
    requests at once exactly one wins. Where nobody is counted the identity stays free.
    """
    first: dict[Identity, Candidate] = {}
    for candidate in candidates:
        if candidate.refusal is None:
            first.setdefault(candidate.identity, candidate)
    holders = {identity: candidate.as_holder() for identity, candidate in first.items()}
    won = await _insert(session, first, holders, now)
    unsettled = {candidate.identity for candidate in candidates} - won
    return holders | await _stored(session, unsettled)


async def _insert(
    session: AsyncSession,
    first: dict[Identity, Candidate],
    holders: dict[Identity, Holder],
    now: datetime,
) -> set[Identity]:
    if not first:
        return set()
    rows = [
        (*identity, first[identity].event_id, holder.fingerprint, holder.given_time, now)
        for identity, holder in sorted(holders.items())
    ]
    won: set[EventId] = set(await session.scalars(_CLAIM, as_given(_COLUMNS, rows)))
    return {identity for identity, candidate in first.items() if candidate.event_id in won}


async def _stored(session: AsyncSession, identities: Iterable[Identity]) -> dict[Identity, Holder]:
    """A statement of its own, after the insert: it sees whatever that one had to wait for."""
    if not (wanted := sorted(identities)):
        return {}
    rows = await session.execute(_FIND, as_given(_KEY, wanted))
    return {
        (row.org_id, row.source, row.external_id): Holder(_BEFORE, row.fingerprint, row.given_time)
        for row in rows
    }
