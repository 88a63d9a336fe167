"""How much usage may be in memory and not durable yet: beyond it, come again later.

So a database that is behind costs senders a 503 and never this process its memory. Every limit is
about a second of what one process can record, for a longer queue would help nobody.
"""

from collections.abc import Callable
from datetime import timedelta
from time import monotonic

from billing.errors import Unavailable

BYTES_MAX = 64 * 1024 * 1024
"""Of bodies being read or recorded: six of the largest, or 300 of a thousand events."""

REQUEST_BYTES = 4096
"""What any request holds besides its body, so that empty ones cannot be endless."""

EVENTS_MAX = 100_000
"""Decoded and not recorded: about 1.3 kB each, however short their text was."""

AGE_SECONDS_MAX = 5.0
"""Whoever waits longer than this waits for a database that is behind."""

RETRY_AFTER = timedelta(seconds=2)


class Overloaded(Unavailable):
    """The database is behind; nothing of this request was stored."""

    code = "OVERLOADED"

    def __init__(self) -> None:
        super().__init__(
            "More usage is coming in than is being stored; nothing of this request was kept."
            " Please send it again later.",
            retry_after=RETRY_AFTER,
        )


class Backlog:
    """What one process has taken in and not yet answered for."""

    def __init__(
        self,
        *,
        bytes_max: int = BYTES_MAX,
        events_max: int = EVENTS_MAX,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.bytes_max = bytes_max
        self._events_max = events_max
        self._clock = clock
        self.size_bytes = 0
        self.event_count = 0
        self._since: dict[object, float] = {}

    def admit(self, size_bytes: int) -> "Admission":
        """Room for a request of so many bytes, before they are read. Raises `Overloaded`."""
        if self.event_count >= self._events_max or self._is_behind():
            raise Overloaded
        admission = Admission(self)
        admission.grow(REQUEST_BYTES + size_bytes)
        return admission

    def enter(self, ticket: object, event_count: int) -> None:
        """Events are waiting to be recorded, until they `leave`. Raises `Overloaded`.

        One request always finds room in an empty backlog, however many events it has.
        """
        if self.event_count and self.event_count + event_count > self._events_max:
            raise Overloaded
        self.event_count += event_count
        self._since[ticket] = self._clock()

    def leave(self, ticket: object, event_count: int) -> None:
        """They are durable, or given up."""
        self.event_count -= event_count
        del self._since[ticket]

    def age(self, ticket: object) -> float:
        """How long they have waited, in seconds."""
        return self._clock() - self._since[ticket]

    def _is_behind(self) -> bool:
        """Whether the oldest has waited too long: the first one in, for dicts keep their order."""
        return bool(self._since) and self.age(next(iter(self._since))) > AGE_SECONDS_MAX


class Admission:
    """One request's share of the backlog's bytes; give it back with `leave`."""

    __slots__ = ("_backlog", "_size_bytes")

    def __init__(self, backlog: Backlog) -> None:
        self._backlog = backlog
        self._size_bytes = 0

    def grow(self, size_bytes: int) -> None:
        """So many bytes more. Raises `Overloaded`, and is no larger then."""
        if self._backlog.size_bytes + size_bytes > self._backlog.bytes_max:
            raise Overloaded
        self._backlog.size_bytes += size_bytes
        self._size_bytes += size_bytes

    def leave(self) -> None:
        """Nothing of the request is held any longer."""
        self._backlog.size_bytes -= self._size_bytes
        self._size_bytes = 0
