"""An event as it came in, and what became of it."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import overload

import msgspec

from billing.errors import Invalid
from billing.models import Verdict

ATTRIBUTE_CHARACTERS_MAX = 255
"""Source and id together must fit PostgreSQL's largest index row, at four bytes a character."""

_EXCERPT_CHARACTERS_MAX = 2000


class NumberText(str):
    """A JSON number as it was spelled, so that no float ever stands between it and its value."""

    __slots__ = ()


class IncomingEvent(msgspec.Struct, frozen=True, gc=False):
    """A well-formed event (CloudEvents 1.0): `data` holds text, exact numbers, bools and None.

    Numbers are `NumberText` or int. Make one with `parse_event` or `incoming_event`, which check
    the shape; a decoder that makes them itself must check as much. A Struct, for there are many.
    """

    id: str
    source: str
    type: str
    subject: str
    time: datetime | None = None
    data: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True)
class MalformedEvent:
    """What came instead of an event: why it is none, and as much of it as can be told.

    No Struct: `isinstance` of one is slow, and this is what every event is asked for.
    """

    error: Invalid
    id: str | None
    source: str | None
    excerpt: str

    @classmethod
    def of(cls, error: Invalid, raw: object) -> "MalformedEvent":
        """Nothing of it is trusted: text that cannot be stored is replaced, long text is cut."""
        attributes = raw if isinstance(raw, Mapping) else {}
        return cls(
            error,
            _as_text(attributes.get("id")),
            _as_text(attributes.get("source")),
            excerpt_of(_as_json(raw)),
        )


class EventVerdict(msgspec.Struct, frozen=True, gc=False):
    """What became of one event; `code`, `message` and `field` say why it was not counted."""

    verdict: Verdict
    id: str | None
    source: str | None
    code: str | None = None
    message: str | None = None
    field: str | None = None
    did_you_mean: str | None = None

    @property
    def is_refused(self) -> bool:
        """Whether the sender has something to mend: neither counted now nor before."""
        return self.verdict in {Verdict.CONFLICT, Verdict.REJECTED}


class Unread(Sequence[IncomingEvent | MalformedEvent]):
    """The events of a body that is decoded when somebody asks for one of them; hardly ever."""

    def __init__(self, count: int, decode: Callable[[], Sequence[IncomingEvent | MalformedEvent]]):
        self._count = count
        self._decode = decode
        self._events: Sequence[IncomingEvent | MalformedEvent] | None = None

    def __len__(self) -> int:
        """Known without decoding."""
        return self._count

    @overload
    def __getitem__(self, at: int) -> IncomingEvent | MalformedEvent: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[IncomingEvent | MalformedEvent]: ...
    def __getitem__(
        self, at: int | slice
    ) -> IncomingEvent | MalformedEvent | Sequence[IncomingEvent | MalformedEvent]:
        """In the body's order."""
        if self._events is None:
            self._events = self._decode()
        return self._events[at]


class Accepted(Sequence[EventVerdict]):
    """The verdicts on events that were all accepted; each is made when somebody asks for it."""

    def __init__(self, events: Sequence[IncomingEvent]) -> None:
        self._events = events

    def __len__(self) -> int:
        """One for each event."""
        return len(self._events)

    @overload
    def __getitem__(self, at: int) -> EventVerdict: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[EventVerdict]: ...
    def __getitem__(self, at: int | slice) -> EventVerdict | Sequence[EventVerdict]:
        """In the events' order."""
        if isinstance(at, slice):
            return Accepted(self._events[at])
        event = self._events[at]
        return EventVerdict(Verdict.ACCEPTED, event.id, event.source)


def malformed_text(error: Invalid, text: str) -> MalformedEvent:
    """Text that is not even JSON."""
    return MalformedEvent(error, None, None, excerpt_of(text))


def printable(text: str) -> str:
    """The text as PostgreSQL can keep it: NUL characters and lone surrogates replaced."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def excerpt_of(text: str) -> str:
    """Enough of it to recognise it by."""
    return printable(text[:_EXCERPT_CHARACTERS_MAX])


def _as_json(raw: object) -> str:
    try:
        return json.dumps(raw, default=str, ensure_ascii=False)
    except RecursionError:
        return "(nested too deeply to be shown)"


def _as_text(value: object) -> str | None:
    if not isinstance(value, str):
        return None
    return printable(value)[:ATTRIBUTE_CHARACTERS_MAX]
