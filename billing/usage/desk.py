"""What this process remembers of whom usage is recorded for: it spares nearly every look-up.

Nothing remembered can be stale: an organization's key and a series' dimensions never change, and
meters are read again whenever their table is not as it was, which is asked in every transaction.
"""

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import accumulate, count

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from billing.accounts import organizations_by_key
from billing.catalog import meters
from billing.ids import OrgId, SeriesId
from billing.models import Meter
from billing.usage.declared import EventType
from billing.usage.scanning import Recent
from billing.usage.shards import shard_of

ORGANIZATIONS_MAX = 200_000
SERIES_MAX = 1_000_000
"""About 150 bytes each. Whoever is forgotten is looked up once more."""

SOURCES_MAX = 100
"""For each organization: hardly any has ten."""

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
    heard: dict[str, tuple[int, int]] = field(default_factory=dict)
    """By source, until when the last note of it stands: for events' own times, and for receipts;
    in microseconds since 1970."""


SeriesKey = bytes
"""The organization's number, the feed's, and the dimensions: nothing a garbage collector follows,
for there are a million of them."""
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
    series: dict[SeriesKey, SeriesId] = field(default_factory=dict)
    stamp: object = None
    """Of the meters that `event_types` are made of."""
    recent: Recent = field(default_factory=Recent)
    """Identities met lately: whoever sends again is judged event by event."""
    _numbers: Iterator[int] = field(default_factory=count)
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
            self.series.clear()  # they are remembered by what fed them
            self.stamp = stamp
        if unknown := [key for key in subjects if key not in self.organizations]:
            self._make_room()
            for key, org in (await organizations_by_key(session, unknown)).items():
                number = next(self._numbers)
                known = KnownOrganization(number, org.id, org.id.bytes, shard_of(org.id))
                self.organizations.setdefault(key, known)

    def _make_room(self) -> None:
        if len(self.organizations) >= ORGANIZATIONS_MAX:
            self.organizations.clear()
            self.series.clear()

    def learn(self, learned: Learned) -> None:
        """After the commit."""
        if len(self.series) + len(learned.series) > SERIES_MAX:
            self.series.clear()
        self.series |= learned.series
        for (org, source), occurred_at in learned.heard.items():
            if len(org.heard) >= SOURCES_MAX:
                org.heard.clear()
            org.heard[source] = (occurred_at + _PRECISION_US, learned.heard_at + _PRECISION_US)


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
