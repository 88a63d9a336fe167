"""Requests encoded beforehand, so that the sender costs little beside the server it measures."""

import os
import random
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache

import numpy as np

from bench.world import (
    METERS,
    ORGANIZATIONS,
    event_type,
    random_organization,
    resource,
    source,
)

BATCH = 1_000
_QUANTITIES_HUNDREDTHS = 1_000
_TIMES = 2_000
_BEFORE_ID = b'"id":"'
_BATCH_TYPE = "application/cloudevents-batch+json"
_SINGLE_TYPE = "application/cloudevents+json"


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request as bytes, how many events are in it, and their sum in hundredths."""

    content: bytearray
    events: int
    hundredths: int

    def renew(self) -> None:
        """Give its events new ids: to whoever counts, they are others."""
        places = [found.end() for found in re.finditer(_BEFORE_ID, self.content)]
        content = np.frombuffer(self.content, np.uint8)
        ids = np.frombuffer("".join(_ids()).encode(), np.uint8).reshape(BATCH, -1)
        content[np.add.outer(places, np.arange(ids.shape[1]))] = ids[: len(places)]


@dataclass(frozen=True, slots=True)
class Sending:
    """Where requests go, with whose key, and the time of their events: the hour up to `now`.

    Requests are made as they are asked for: make a list of them before a window that is timed.
    """

    host: str
    token: str
    now: datetime

    def batches(self, drawn: Iterable[Sequence[int]]) -> Iterator[Request]:
        """A batch of 1,000 events for each list of 1,000 series."""
        times = self._times()
        heads = _heads()
        for series in drawn:
            quantities = random.choices(range(1, _QUANTITIES_HUNDREDTHS), k=BATCH)
            events = [
                f'{{"specversion":"1.0","id":"{event_id}","time":"{at}",'
                f'{heads[one]}{hundredths // 100}.{hundredths % 100:02}"}}}}'
                for event_id, one, at, hundredths in zip(
                    _ids(), series, random.choices(times, k=BATCH), quantities, strict=True
                )
            ]
            body = f"[{','.join(events)}]".encode()
            yield Request(self._encoded(body, _BATCH_TYPE), BATCH, sum(quantities))

    def singles(self, count: int) -> Iterator[Request]:
        """Requests of one event each."""
        times = self._times()
        heads = _heads()
        ids = (event_id for _ in range(count // BATCH + 1) for event_id in _ids())
        for event_id, _ in zip(ids, range(count), strict=False):
            hundredths = random.randrange(1, _QUANTITIES_HUNDREDTHS)
            head = heads[random_organization() * METERS + random.randrange(METERS)]
            body = (
                f'{{"specversion":"1.0","id":"{event_id}","time":"{random.choice(times)}",'
                f"{head}"
                f'{hundredths // 100}.{hundredths % 100:02}"}}}}'
            )
            yield Request(self._encoded(body.encode(), _SINGLE_TYPE), 1, hundredths)

    def _times(self) -> list[str]:
        """Instants of the current hour that have been, or of the minute before it."""
        hour = self.now.replace(minute=0, second=0, microsecond=0)
        span = max((self.now - hour).total_seconds(), 1.0)
        instants = [hour + timedelta(seconds=random.random() * span) for _ in range(_TIMES)]
        return [f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03}Z" for at in instants]

    def _encoded(self, body: bytes, content_type: str) -> bytearray:
        head = (
            f"POST /api/v1/events HTTP/1.1\r\nHost: {self.host}\r\n"
            f"Authorization: Bearer {self.token}\r\n"
            f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return bytearray(head.encode() + body)


@cache
def _heads() -> list[str]:
    """The part of an event that says which series it is of: one for each of the million."""
    return [
        f'"source":"{source(organization)}","type":"{event_type(meter)}",'
        f'"subject":"org-{organization}",'
        f'"data":{{"resource":"{resource(organization, meter)}","quantity":"'
        for organization in range(ORGANIZATIONS)
        for meter in range(METERS)
    ]


def mixed(count: int) -> Iterator[list[int]]:
    """Batches of random organizations."""
    for _ in range(count):
        meters = random.choices(range(METERS), k=BATCH)
        yield [random_organization() * METERS + meter for meter in meters]


def alone(count: int) -> Iterator[list[int]]:
    """Batches of one organization each."""
    for _ in range(count):
        first = random_organization() * METERS
        yield random.choices(range(first, first + METERS), k=BATCH)


def everyone() -> Iterator[range]:
    """Every series once: what a process has met after a few minutes of work."""
    for first in range(0, ORGANIZATIONS * METERS, BATCH):
        yield range(first, first + BATCH)


def _ids() -> Iterator[str]:
    """A thousand random UUIDs, as text."""
    digits = os.urandom(16 * BATCH).hex()
    for start in range(0, 32 * BATCH, 32):
        one = digits[start : start + 32]
        yield f"{one[:8]}-{one[8:12]}-{one[12:16]}-{one[16:20]}-{one[20:]}"
