"""Events in which nothing is wrong, decoded at once: msgspec checks types while it reads.

Each function answers None for whatever it does not vouch for; `api.event_formats` then says, event
by event, what is wrong, if anything is.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Literal

import msgspec

from billing.rules.periods import YEARS, is_within_years
from billing.usage import IncomingEvent, NumberText
from billing.usage.events import ATTRIBUTE_CHARACTERS_MAX
from billing.usage.shapes import DATA_DEPTH_MAX

_Attribute = Annotated[str, msgspec.Meta(min_length=1, max_length=ATTRIBUTE_CHARACTERS_MAX)]
_Instant = Annotated[datetime, msgspec.Meta(tz=True)]


class TypedEvent(IncomingEvent, frozen=True, kw_only=True, gc=False):
    """An event as it is on the wire. JSON makes no cycles, so there is nothing to collect."""

    specversion: Literal["1.0"]
    id: _Attribute
    source: _Attribute
    type: _Attribute
    subject: _Attribute
    time: _Instant | None = None
    data: dict[str, object] | None = None
    data_base64: msgspec.UnsetType = msgspec.UNSET


_EVENT = msgspec.json.Decoder(TypedEvent, float_hook=NumberText)
_EVENTS = msgspec.json.Decoder(list[TypedEvent], float_hook=NumberText)


def typed_single(body: bytes) -> Sequence[IncomingEvent] | None:
    """A body that is one event."""
    return _vouched(body, lambda: [_EVENT.decode(body)])


def typed_batch(body: bytes) -> Sequence[IncomingEvent] | None:
    """A body that is a JSON array of events."""
    return _vouched(body, lambda: _EVENTS.decode(body))


def typed_lines(body: bytes, lines: Iterable[bytes]) -> Sequence[IncomingEvent] | None:
    """A body of these lines, one event each.

    Line by line, for msgspec's own `decode_lines` takes an event over two lines and two on one.
    """
    return _vouched(body, lambda: [_EVENT.decode(line) for line in lines])


def _vouched(
    body: bytes, decode: Callable[[], Sequence[TypedEvent]]
) -> Sequence[IncomingEvent] | None:
    if not _is_storable(body):
        return None
    try:
        events = decode()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return events if _are_well_formed(events, body) else None


def _is_storable(body: bytes) -> bool:
    """UTF-8 even where msgspec skips what nobody asked for, and free of U+0000."""
    if b"\\" in body and b"\\u0000" in body:
        return False
    if body.isascii():
        return True
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def _are_well_formed(events: Sequence[TypedEvent], body: bytes) -> bool:
    """What types cannot say. Times become UTC on the way."""
    with_data = 0
    for event in events:
        if (
            event.id.isspace()
            or event.source.isspace()
            or event.type.isspace()
            or event.subject.isspace()
        ):
            return False
        if (time := event.time) is not None and (time.tzinfo is not UTC or time.year not in YEARS):
            if not is_within_years(time):
                return False
            msgspec.structs.force_setattr(event, "time", time.astimezone(UTC))
        if event.data is not None:
            with_data += 1
    flat = len(events) + with_data
    is_flat = body.count(b"{") == flat and body.find(b"[", 1) < 0
    return is_flat or not any(_is_too_deep(event.data) for event in events)


def _is_too_deep(value: object, depth: int = 0) -> bool:
    if isinstance(value, dict):
        value = list(value.values())
    if not isinstance(value, list):
        return False
    return depth == DATA_DEPTH_MAX or any(_is_too_deep(item, depth + 1) for item in value)
