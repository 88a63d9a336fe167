"""The usual batch, column by column: all of it right, of organizations we know; pure.

Where anything at all is unusual there is no such batch, and every event is judged by itself
(`intake.py`). Both ways come to the same rows and the same verdicts.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import chain
from types import MappingProxyType

import msgspec

from billing.accounts import Viewer
from billing.ids import SeriesId
from billing.models import Form
from billing.usage.columns import are_separable, microseconds_of
from billing.usage.declared import EventType, Feed, Shape
from billing.usage.desk import Desk, KnownOrganization, SeriesKey
from billing.usage.events import IncomingEvent, MalformedEvent
from billing.usage.fingerprints import fingerprint_of, identity_key_of
from billing.usage.intake import AHEAD_MAX, Sender
from billing.usage.months import may_be_archived
from billing.usage.readers import FeedColumns, read_columns

_NOTHING: Mapping[str, object] = MappingProxyType({})


class Claims(msgspec.Struct):
    """The batch's identities, side by side."""

    keys: list[bytes] = msgspec.field(default_factory=list)
    fingerprints: list[int] = msgspec.field(default_factory=list)
    instants: list[int] = msgspec.field(default_factory=list)
    are_times_given: list[bool] = msgspec.field(default_factory=list)


class Readings(msgspec.Struct):
    """Its readings of one form, side by side; a series is None where the desk does not know it."""

    series_keys: list[SeriesKey] = msgspec.field(default_factory=list)
    series_ids: list[SeriesId | None] = msgspec.field(default_factory=list)
    shards: list[int] = msgspec.field(default_factory=list)
    times: list[datetime] = msgspec.field(default_factory=list)
    instants: list[int] = msgspec.field(default_factory=list)
    quantities: list[str] = msgspec.field(default_factory=list)
    labels: list[str] = msgspec.field(default_factory=list)
    sources: list[str] = msgspec.field(default_factory=list)
    external_ids: list[str] = msgspec.field(default_factory=list)


class Batch(msgspec.Struct):
    """What the events of some requests come to, all of them being accepted once claimed.

    `stamp` is of the meters they were read by, which may have changed when it is written.
    """

    stamp: object
    claims: Claims = msgspec.field(default_factory=Claims)
    readings: dict[Form, Readings] = msgspec.field(default_factory=dict)
    unknown_series: dict[SeriesKey, tuple[KnownOrganization, Feed]] = msgspec.field(
        default_factory=dict
    )
    heard: list[tuple[KnownOrganization, str, datetime]] = msgspec.field(default_factory=list)
    organizations: set[KnownOrganization] = msgspec.field(default_factory=set)


class _Group(msgspec.Struct):
    """Events whose types have one shape, side by side with the types."""

    events: list[IncomingEvent] = msgspec.field(default_factory=list)
    types: list[EventType] = msgspec.field(default_factory=list)


class _Known(msgspec.Struct):
    """What the desk knows of each of a group's events."""

    organizations: Sequence[KnownOrganization]
    times: Sequence[datetime]
    instants: Sequence[int]
    sources: Sequence[str]
    external_ids: Sequence[str]


def usual_batch(
    desk: Desk, events: Sequence[IncomingEvent | MalformedEvent], now: datetime
) -> Batch | None:
    """None where anything is unusual, as far as can be told without the database."""
    groups = _groups(desk, events)
    if groups is None:
        return None
    batch = Batch(desk.stamp)
    if not all(_add(batch, desk, shape, group, now) for shape, group in groups.items()):
        return None
    keys = batch.claims.keys
    texts = chain.from_iterable(
        (*one.sources, *one.external_ids, *one.labels) for one in batch.readings.values()
    )
    return batch if len(set(keys)) == len(keys) and are_separable(texts) else None


def _groups(
    desk: Desk, events: Sequence[IncomingEvent | MalformedEvent]
) -> dict[Shape, _Group] | None:
    """By shape, for meters are many and shapes are few: a group costs as much as some events."""
    by_type: dict[str, list[IncomingEvent]] = defaultdict(list)
    for event in events:
        if isinstance(event, MalformedEvent):
            return None
        by_type[event.type].append(event)
    groups: dict[Shape, _Group] = defaultdict(_Group)
    for name, of_type in by_type.items():
        if (event_type := desk.event_types.get(name)) is None:
            return None
        group = groups[event_type.shape]
        group.events += of_type
        group.types += [event_type] * len(of_type)
    return groups


def are_usual_senders(
    viewers: Iterable[Viewer], organizations: Iterable[KnownOrganization]
) -> bool:
    """Whether each of them may record usage of all these organizations."""
    different = {id(viewer): viewer for viewer in viewers}
    senders = [Sender(viewer, viewer.org_id) for viewer in different.values()]
    bound = [sender for sender in senders if not sender.may_write_all]
    return not bound or all(sender.may_write(org) for sender in bound for org in organizations)


def _add(batch: Batch, desk: Desk, shape: Shape, group: _Group, now: datetime) -> bool:
    """The events of one shape; whether they are usual."""
    events = group.events
    known = _known(desk, events, now)
    names = [event_type.name for event_type in group.types]
    said = read_columns(shape, names, [event.data or _NOTHING for event in events])
    if known is None or said is None:
        return False
    claims = batch.claims
    claims.keys += map(
        identity_key_of,
        [org.id_bytes for org in known.organizations],
        known.sources,
        known.external_ids,
    )
    claims.fingerprints += map(fingerprint_of, said.bodies)
    claims.instants += known.instants
    claims.are_times_given += [event.time is not None for event in events]
    batch.heard += zip(known.organizations, known.sources, known.times, strict=True)
    batch.organizations.update(known.organizations)
    for place, columns in enumerate(said.feeds):
        feeds = [event_type.feeds[place] for event_type in group.types]
        _add_readings(batch, desk, known, feeds, columns)
    return True


def _known(desk: Desk, events: Sequence[IncomingEvent], now: datetime) -> _Known | None:
    get = desk.organizations.get
    found = [get(event.subject) for event in events]
    organizations = [org for org in found if org is not None]
    times = [event.time or now for event in events]
    if len(organizations) < len(events):
        return None
    if max(times) - now > AHEAD_MAX or may_be_archived(min(times), now):
        return None
    return _Known(
        organizations,
        times,
        [microseconds_of(time) for time in times],
        [event.source for event in events],
        [event.id for event in events],
    )


def _add_readings(
    batch: Batch, desk: Desk, known: _Known, feeds: Sequence[Feed], columns: FeedColumns
) -> None:
    keys = list(
        zip(
            [org.number for org in known.organizations],
            [feed.number for feed in feeds],
            columns.dimensions,
            strict=True,
        )
    )
    ids = [desk.series.get(key) for key in keys]
    if None in ids:
        batch.unknown_series |= {
            key: (org, feed)
            for key, found, org, feed in zip(keys, ids, known.organizations, feeds, strict=True)
            if found is None
        }
    readings = batch.readings.setdefault(columns.form, Readings())
    readings.series_keys += keys
    readings.series_ids += ids
    readings.shards += [org.shard for org in known.organizations]
    readings.times += known.times
    readings.instants += known.instants
    readings.quantities += columns.quantities
    readings.labels += columns.labels or ()
    readings.sources += known.sources
    readings.external_ids += known.external_ids
