"""A second opinion on the buckets: every event once, counted slowly in plain Python.

It shares nothing with the product: not its rules, nor its rows. Meters and events are described
anew, sums are fractions, and what is stored is read with SQL.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction

from sqlalchemy import text

from billing.runtime import Sessions

HOUR = timedelta(hours=1)
MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class Declared:
    """A meter: what feeds it, and how it counts."""

    slug: str
    event_type: str
    aggregation: str
    dimensions: tuple[str, ...]

    @property
    def is_held(self) -> bool:
        return self.aggregation in {"LATEST", "TIME_WEIGHTED"}

    @property
    def value(self) -> str | None:
        """The key of the data that it reads."""
        return {"COUNT": None, "UNIQUE_COUNT": "who"}.get(self.aggregation, "value")


METERS = (
    Declared("work_total", "work", "SUM", ("app",)),
    Declared("work_count", "work", "COUNT", ("app", "region")),
    Declared("work_peak", "work", "MAX", ()),
    Declared("work_level", "work", "LATEST", ("app",)),
    Declared("work_users", "work", "UNIQUE_COUNT", ("region",)),
    Declared("volume_level", "volume", "LATEST", ()),
    Declared("volume_hours", "volume", "TIME_WEIGHTED", ("app",)),
)
"""Every aggregation, several of them on one event type."""


@dataclass(frozen=True)
class Fact:
    """An event as its sender knows it."""

    subject: str
    source: str
    id: str
    type: str
    at: datetime
    data: Mapping[str, str | None] = field(default_factory=dict)

    @property
    def identity(self) -> tuple[str, str, str]:
        return self.subject, self.source, self.id

    def on_the_wire(self) -> dict[str, object]:
        """As decoded JSON."""
        return {
            "specversion": "1.0",
            "id": self.id,
            "source": self.source,
            "type": self.type,
            "subject": self.subject,
            "time": self.at.isoformat(),
            "data": dict(self.data),
        }


@dataclass(frozen=True)
class Bucket:
    """What one series counted in one hour; `held` only of values held until the next one."""

    event_count: int
    total: Fraction
    highest: Fraction
    held: tuple[datetime, datetime, Fraction, Fraction] | None
    labels: Mapping[str, int]


Name = tuple[str, str, tuple[tuple[str, str], ...], datetime]
"""Organization, meter, dimensions, hour."""


def rescan(
    facts: Iterable[Fact],
    meters: Collection[Declared],
    voided: Collection[tuple[str, str, str]] = (),
) -> dict[Name, Bucket]:
    """What the buckets of these events must be; a fact given twice is an event resent."""
    kept: dict[Name, list[Fact]] = {}
    by_slug = {meter.slug: meter for meter in meters}
    for fact in {fact.identity: fact for fact in facts}.values():
        if fact.identity in voided:
            continue
        for meter in meters:
            if meter.event_type != fact.type or (meter.value and not fact.data.get(meter.value)):
                continue
            named = ((name, fact.data.get(name)) for name in sorted(meter.dimensions))
            dimensions = tuple((name, value) for name, value in named if value)
            hour = fact.at.replace(minute=0, second=0, microsecond=0)
            kept.setdefault((fact.subject, meter.slug, dimensions, hour), []).append(fact)
    return {name: _bucket(by_slug[name[1]], name[3], facts) for name, facts in kept.items()}


def _bucket(meter: Declared, hour: datetime, facts: Sequence[Fact]) -> Bucket:
    labels = Counter(str(fact.data["who"]) for fact in facts if meter.value == "who")
    amounts = [_amount(meter, fact) for fact in facts]
    held = _held(hour, facts) if meter.is_held else None
    return Bucket(len(facts), sum(amounts, Fraction(0)), max(amounts), held, labels)


def _amount(meter: Declared, fact: Fact) -> Fraction:
    match meter.value:
        case None:
            return Fraction(1)
        case "who":
            return Fraction(0)
        case _:
            return Fraction(str(fact.data["value"]))


def _held(hour: datetime, facts: Sequence[Fact]) -> tuple[datetime, datetime, Fraction, Fraction]:
    ordered = sorted(facts, key=lambda fact: (fact.at, fact.source, fact.id))
    ends = [fact.at for fact in ordered[1:]] + [hour + HOUR]
    values = [Fraction(str(fact.data["value"])) for fact in ordered]
    weighted = sum(
        (
            value * Fraction((end - fact.at) // MICROSECOND, 10**6)
            for value, fact, end in zip(values, ordered, ends, strict=True)
        ),
        Fraction(0),
    )
    return ordered[0].at, ordered[-1].at, values[-1], weighted


_BUCKETS = text("""
SELECT organizations.key, meters.slug, series.dimensions, bucket.*
FROM usage_buckets AS bucket JOIN usage_series AS series ON series.id = bucket.series_id
JOIN meters ON meters.id = series.meter_id JOIN organizations ON organizations.id = series.org_id
WHERE organizations.key = ANY (:keys)
""")
_LABELS = text("""
SELECT held.* FROM usage_distinct_values AS held
JOIN usage_series AS series ON series.id = held.series_id
JOIN organizations ON organizations.id = series.org_id WHERE organizations.key = ANY (:keys)
""")


async def stored(sessions: Sessions, keys: Collection[str]) -> dict[Name, Bucket]:
    """What the tables hold for these organizations."""
    async with sessions() as session:
        rows = (await session.execute(_BUCKETS, {"keys": list(keys)})).all()
        found = (await session.execute(_LABELS, {"keys": list(keys)})).all()
    labels: dict[tuple[int, datetime], dict[str, int]] = {}
    for row in found:
        labels.setdefault((row.series_id, row.hour), {})[row.value] = row.event_count
    buckets = {
        (row.key, row.slug, tuple(sorted(row.dimensions.items())), row.hour): Bucket(
            row.event_count,
            Fraction(row.total),
            Fraction(row.highest),
            None
            if row.first_at is None
            else (row.first_at, row.last_at, Fraction(row.last_value), Fraction(row.weighted)),
            labels.pop((row.series_id, row.hour), {}),
        )
        for row in rows
    }
    assert not labels, "every distinct value has its bucket"
    return buckets
