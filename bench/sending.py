"""The cheapest HTTP/1.1 client that can tell answers apart: bytes out, a status in, and again.

It runs in the process of the benchmark, which does nothing else meanwhile; the server has its own.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import quantiles
from typing import cast
from urllib.parse import urlsplit

from bench.bodies import Request

_HEAD_END = b"\r\n\r\n"
_RETRY_AFTER = b"retry-after:"
_LENGTH = b"content-length:"
STORED = 204
BUSY = 503


class UnexpectedAnswer(Exception):
    """The server answered what a benchmark cannot go on with; the message has the answer."""


@dataclass(slots=True)
class Sent:
    """What became of the requests of one window."""

    seconds: float = 0.0
    events: int = 0
    hundredths: int = 0
    unanswered: int = 0
    """Events that were refused at last, and would be sent again: stored or not, nobody said."""
    statuses: Counter[int] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Events acknowledged a second."""
        return self.events / self.seconds

    @property
    def latency(self) -> str:
        """The middle and the 99th of 100 answers, in milliseconds."""
        cut = quantiles(self.latencies, n=100)
        return f"p50 {cut[49] * 1000:.1f} ms, p99 {cut[98] * 1000:.1f} ms"


class _Connection(asyncio.Protocol):
    """One connection: the next request goes out when the last is answered."""

    def __init__(self, window: "_Window") -> None:
        self._window = window
        self._answer = b""
        self._request: Request | None = None
        self._started = 0.0
        self.transport: asyncio.Transport | None = None
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's own kind of one

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(UnexpectedAnswer(f"The server closed a connection: {exc}"))

    def next_request(self) -> None:
        """Send one more, unless time or requests have run out."""
        assert self.transport, "connected"
        self._request = self._window.take()
        if self._request is None:
            self.done.set_result(None)
            return
        self._started = self._window.time()
        self.transport.write(self._request.content)

    def data_received(self, data: bytes) -> None:
        self._answer += data
        head, end, body = self._answer.partition(_HEAD_END)
        if not end or len(body) < _number_after(_LENGTH, head):
            return
        answer, self._answer = self._answer, b""
        self._answered(int(head[9:12]), head, answer)

    def _answered(self, status: int, head: bytes, answer: bytes) -> None:
        window, request = self._window, self._request
        assert request, "one was sent"
        window.sent.statuses[status] += 1
        window.sent.latencies.append(window.time() - self._started)
        if status in window.accepted:
            window.sent.events += request.events
            window.sent.hundredths += request.hundredths
            self.next_request()
        elif status == BUSY and window.resends:
            window.give_back(request)
            pause = max(_number_after(_RETRY_AFTER, head), 1)
            asyncio.get_running_loop().call_later(min(pause, window.left()), self.next_request)
        else:
            self.done.set_exception(UnexpectedAnswer(answer[:2000].decode(errors="replace")))


class _Window:
    """Requests until the time is up; those on their way then are waited for."""

    def __init__(
        self, requests: Iterable[Request], seconds: float, accepted: frozenset[int], resends: bool
    ) -> None:
        self._requests: Iterator[Request] = iter(requests)
        self.again: list[Request] = []
        self.accepted = accepted
        self.resends = resends
        self.time = asyncio.get_running_loop().time
        self.sent = Sent()
        self._end = self.time() + seconds

    def take(self) -> Request | None:
        if self.left() <= 0:
            return None
        return self.again.pop() if self.again else next(self._requests, None)

    def give_back(self, request: Request) -> None:
        self.again.append(request)

    def left(self) -> float:
        return max(self._end - self.time(), 0.0)


async def send(
    urls: Sequence[str],
    requests: Iterable[Request],
    *,
    connections: int,
    seconds: float,
    accepted: frozenset[int] = frozenset({STORED}),
    resends: bool = False,
) -> Sent:
    """Send requests over so many connections, spread over the URLs, until time or they run out.

    An answer that is not accepted raises `UnexpectedAnswer`; with `resends`, a 503 is waited for
    as long as it asks and its request sent again.
    """
    loop = asyncio.get_running_loop()
    window = _Window(requests, seconds, accepted, resends)
    opened: list[_Connection] = []
    try:
        for number in range(connections):
            host, _, port = urlsplit(urls[number % len(urls)]).netloc.partition(":")
            _, connection = await loop.create_connection(
                lambda: _Connection(window), host, int(port)
            )
            opened.append(connection)
        started = loop.time()
        for connection in opened:
            connection.next_request()
        await asyncio.gather(*(connection.done for connection in opened))
        window.sent.seconds = loop.time() - started
        window.sent.unanswered = sum(request.events for request in window.again)
    finally:
        for connection in opened:
            assert connection.transport, "connected"
            connection.transport.abort()
    return window.sent


def _number_after(name: bytes, head: bytes) -> int:
    """The figure of a header, 0 without it."""
    place = head.lower().find(b"\r\n" + name)
    return int(head[place + len(name) + 2 :].split(b"\r\n", 1)[0]) if place >= 0 else 0
