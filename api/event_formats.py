"""The three formats events come in, decoded without ever making a float.

A body that is usual in everything is not decoded at all (`billing.usage.scanning`). Any other in
which nothing is wrong is decoded at once (`api.typed_events`), and the rest event by event, to say
of each what is wrong with it. All ways make the same events of the same text.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from api.problems import BadRequest, BodyTooLarge, UnsupportedMediaType
from api.typed_events import typed_batch, typed_lines, typed_single
from billing.usage import IncomingEvent, MalformedEvent, NumberText, malformed_text, parse_event
from billing.usage.scanning import EVENTS_MAX, BodyKind

Events = Sequence[IncomingEvent | MalformedEvent]

_DECODER = json.JSONDecoder(parse_float=NumberText, parse_int=NumberText, parse_constant=NumberText)


class InvalidJson(BadRequest):
    """Not JSON (RFC 8259), save for NaN and Infinity, which are refused event by event."""

    code = "INVALID_JSON"


@dataclass(frozen=True, slots=True)
class Format:
    """How events lie in a body, and how to decode one in which they are not usual."""

    kind: BodyKind
    decode: Callable[[bytes], Events]


def format_named(content_type: str) -> Format:
    """How to decode a body of this Content-Type. Raises `UnsupportedMediaType`.

    Decoding raises `InvalidJson` where nothing of the body can be told apart, and `BodyTooLarge`.
    """
    if found := _FORMATS.get(content_type):
        return found
    name = content_type.split(";", maxsplit=1)[0].strip().lower()
    if found := _FORMATS.get(name):
        return found
    raise UnsupportedMediaType(
        f"Send events as {', '.join(_FORMATS)}, not {name or 'without a Content-Type'}."
    )


def _single(body: bytes) -> Events:
    return typed_single(body) or [careful_event(body)]


def _batch(body: bytes) -> Events:
    events = typed_batch(body)
    if events is None:
        return careful_batch(body)
    _check_count(events)
    return events


def _lines(body: bytes) -> Events:
    lines = [line for line in body.split(b"\n") if line.strip()]
    _check_count(lines)
    events = typed_lines(body, lines)
    return careful_lines(lines) if events is None else events


def careful_event(body: bytes) -> IncomingEvent | MalformedEvent:
    """The one event there is. Raises `InvalidJson`."""
    return parse_event(decoded(body))


def careful_batch(body: bytes) -> Events:
    """Every event of a JSON array. Raises `BadRequest` and `BodyTooLarge`."""
    items = decoded(body)
    if not isinstance(items, list):
        raise BadRequest("A batch must be a JSON array of events.", code="INVALID_BATCH")
    _check_count(items)
    return [parse_event(item) for item in items]


def careful_lines(lines: Sequence[bytes]) -> Events:
    """One event a line; a line that is no JSON spoils no other."""
    return [_line(line) for line in lines]


def _line(line: bytes) -> IncomingEvent | MalformedEvent:
    try:
        return careful_event(line)
    except InvalidJson as error:
        return malformed_text(error, line.decode(errors="replace"))


def _check_count(events: Sequence[object]) -> None:
    if len(events) > EVENTS_MAX:
        raise BodyTooLarge(
            f"A request may carry {EVENTS_MAX:,} events, not {len(events):,}.",
            code="TOO_MANY_EVENTS",
        )


def decoded(body: bytes) -> object:
    """JSON with every number as its text. Raises `InvalidJson`, saying where it is none."""
    try:
        return _DECODER.decode(body.decode())
    except UnicodeDecodeError as error:
        raise InvalidJson(f"The JSON is not UTF-8 at byte {error.start}.") from None
    except json.JSONDecodeError as error:
        raise InvalidJson(
            f"Not valid JSON at line {error.lineno}, column {error.colno}: {error.msg}."
        ) from None
    except RecursionError:
        raise InvalidJson("The JSON is nested too deeply.") from None


_FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        "application/cloudevents+json": Format(BodyKind.SINGLE, _single),
        "application/cloudevents-batch+json": Format(BodyKind.BATCH, _batch),
        "application/x-ndjson": Format(BodyKind.LINES, _lines),
    }
)
