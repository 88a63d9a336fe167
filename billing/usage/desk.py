"""What this process remembers of whom usage is recorded for: it spares nearly every look-up.

Nothing remembered can be stale: an organization's key and a series' dimensions never change, and
meters are read again whenever their table is not as it was, which is asked in every transaction.
"""

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import accumulate

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from billing.accounts import organizations_by_key
from billing.catalog import meters
from billing.ids import OrgId, SeriesId
from billing.models import Meter
from billing.usage.declared import EventType
from billing.usage.scanning import Index, Recent
from billing.usage.shards import shard_of

ORGANIZATIONS_MAX = 200_000
SERIES_MAX = 1_000_000
"""About 400 bytes an organization, and 50 a series. Whoever is forgotten is looked up once more."""

HEARD_PRECISION = timedelta(minutes=1)
"""A source that never stops is noted once in this while, not with every batch."""

STAMP = "SELECT count(*) || '/' || coalesce(sum(hashtextextended(meters::text, 0)), 0) FROM meters"
"""One text that differs whenever the meters' table is not as it was."""

_STAMP = text(STAMP)


@dataclass(frozen=True, slots=True, eq=False)
class KnownOrganization:
    """One whose events come in; `number` is the desk's own for it."""

    number: int
    id: OrgId
    id_bytes: bytes
    shard: int


SeriesKey = bytes
"""The organization's number, the feed's, and the dimensions."""
SourceKey = tuple[KnownOrganization, str]

_NUMBERS = struct.Struct(">qq")
_PRECISION_US = HEARD_PRECISION // timedelta(microseconds=1)


def series_key(org_number: int, feed_number: int, dimensions: Sequence[str | None]) -> SeriesKey:
    """No text holds a NUL, none is empty, and a feed's dimensions are always as many."""
    texts = "\0".join([one or "" for one in dimensions])
    return _NUMBERS.pack(org_number, feed_number) + texts.encode()


@dataclass(slots=True)
class Learned:
    """What one transaction wrote; true for others only once it has committed.

    Instants are microseconds since 1970.
    """

    series: dict[SeriesKey, SeriesId] = field(default_factory=dict)
    heard: dict[SourceKey, int] = field(default_factory=dict)
    heard_at: int = 0


@dataclass
class Desk:
    """One for each process: organizations by key, event types by name, series by what they are."""

    organizations: dict[str, KnownOrganization] = field(default_factory=dict)
    event_types: dict[str, EventType] = field(default_factory=dict)
    index: Index = field(default_factory=Index)
    """The same organizations, their series, and how far their sources are heard of."""
    stamp: object = None
    """Of the meters that `event_types` are made of."""
    recent: Recent = field(default_factory=Recent)
    """Identities met lately: whoever sends again is judged event by event."""
    _numbers: int = 0
    _feed_count: int = 0

    async def look_up(self, session: AsyncSession, subjects: set[str]) -> None:
        """Know today's meters, and every one of these organizations that there is."""
        stamp = await session.scalar(_STAMP)
        if stamp != self.stamp:
            found = await meters(session)
            for meter in found:
                session.expunge(meter)  # else a rollback would make them unreadable
            # No number is used again: a batch under way still means the feeds it was read by.
            self.event_types = by_event_type(found, self._feed_count)
            self._feed_count += len(found)
            self.index.forget_series()  # they are remembered by what fed them
            self.stamp = stamp
        if unknown := [key for key in subjects if key not in self.organizations]:
            self._make_room()
            for key, org in (await organizations_by_key(session, unknown)).items():
                if key not in self.organizations:  # another request may have been first
                    known = KnownOrganization(self._numbers, org.id, org.id.bytes, shard_of(org.id))
                    self._numbers += 1
                    self.organizations[key] = known
                    self.index.add(key, known)

    def _make_room(self) -> None:
        if len(self.organizations) >= ORGANIZATIONS_MAX:
            self.organizations.clear()
            self.index.forget(self._numbers)

    def learn(self, learned: Learned) -> None:
        """After the commit."""
        if self.index.series_count() + len(learned.series) > SERIES_MAX:
            self.index.forget_series()
        self.index.learn_series(learned.series)
        self.index.learn_heard(learned.heard, learned.heard_at, _PRECISION_US)


def by_event_type(found: Iterable[Meter], first_feed: int = 0) -> dict[str, EventType]:
    """Meters by the order of their ids, which is that of their creation; feeds are numbered on."""
    by_type: dict[str, list[Meter]] = {}
    for meter in sorted(found, key=lambda meter: meter.id):
        by_type.setdefault(meter.event_type, []).append(meter)
    first_feeds = accumulate((len(group) for group in by_type.values()), initial=first_feed)
    return {
        name: EventType(name, tuple(group), first)
        for (name, group), first in zip(by_type.items(), first_feeds, strict=False)
    }
