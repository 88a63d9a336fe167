"""What this process remembers of whom usage is recorded for: it spares nearly every look-up.

Nothing remembered can be stale: an organization's key and a series' dimensions never change, and
meters are read again whenever their table is not as it was, which is asked in every transaction.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import accumulate, count

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from billing.accounts import organizations_by_key
from billing.catalog import meters
from billing.ids import OrgId, SeriesId
from billing.models import Meter
from billing.usage.declared import EventType
from billing.usage.shards import shard_of

ORGANIZATIONS_MAX = 200_000
SERIES_MAX = 1_000_000
"""About 150 bytes each. Whoever is forgotten is looked up once more."""

HEARD_PRECISION = timedelta(seconds=10)
"""A source that never stops is noted once in this while, not with every batch."""

_STAMP = text("SELECT count(*), sum(hashtextextended(meters::text, 0)) FROM meters")


@dataclass(frozen=True, slots=True, eq=False)
class KnownOrganization:
    """One whose events come in; `number` is the desk's own for it."""

    number: int
    id: OrgId
    id_bytes: bytes
    shard: int


SeriesKey = tuple[int, int, tuple[str | None, ...]]
"""The organization's number, the feed's, and the dimensions: nothing a garbage collector follows,
for there are a million of them."""
SourceKey = tuple[KnownOrganization, str]


@dataclass(slots=True)
class Learned:
    """What one transaction wrote; true for others only once it has committed."""

    series: dict[SeriesKey, SeriesId] = field(default_factory=dict)
    heard: dict[SourceKey, tuple[datetime, datetime]] = field(default_factory=dict)


@dataclass
class Desk:
    """One for each process: organizations by key, event types by name, series by what they are."""

    organizations: dict[str, KnownOrganization] = field(default_factory=dict)
    event_types: dict[str, EventType] = field(default_factory=dict)
    series: dict[SeriesKey, SeriesId] = field(default_factory=dict)
    _heard: dict[SourceKey, tuple[datetime, datetime]] = field(default_factory=dict)
    _stamp: object = None
    _numbers: Iterator[int] = field(default_factory=count)

    async def look_up(self, session: AsyncSession, subjects: Collection[str]) -> None:
        """Know today's meters, and every one of these organizations that there is."""
        stamp = tuple((await session.execute(_STAMP)).one())
        if stamp != self._stamp:
            found = await meters(session)
            for meter in found:
                session.expunge(meter)  # else a rollback would make them unreadable
            self.event_types = by_event_type(found)
            self.series.clear()  # they are remembered by what fed them
            self._stamp = stamp
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
            self._heard.clear()

    def unheard(
        self, latest: Mapping[SourceKey, datetime], now: datetime
    ) -> dict[SourceKey, tuple[datetime, datetime]]:
        """Those whose last note is too old to stand for this."""
        return {
            key: (occurred_at, now)
            for key, occurred_at in latest.items()
            if self._is_news(self._heard.get(key), occurred_at, now)
        }

    def _is_news(
        self, noted: tuple[datetime, datetime] | None, occurred_at: datetime, now: datetime
    ) -> bool:
        if noted is None:
            return True
        return occurred_at - noted[0] >= HEARD_PRECISION or now - noted[1] >= HEARD_PRECISION

    def learn(self, learned: Learned) -> None:
        """After the commit."""
        if len(self.series) + len(learned.series) > SERIES_MAX:
            self.series.clear()
        self.series |= learned.series
        if len(self._heard) > SERIES_MAX:
            self._heard.clear()
        self._heard |= learned.heard


def by_event_type(found: Iterable[Meter]) -> dict[str, EventType]:
    """Meters by the order of their ids, which is that of their creation."""
    by_type: dict[str, list[Meter]] = {}
    for meter in sorted(found, key=lambda meter: meter.id):
        by_type.setdefault(meter.event_type, []).append(meter)
    first_feeds = accumulate((len(group) for group in by_type.values()), initial=0)
    return {
        name: EventType(name, tuple(group), first_feed)
        for (name, group), first_feed in zip(by_type.items(), first_feeds, strict=False)
    }
