"""What stands in for the compiled code where there is none: nothing is usual.

Usage is then judged event by event, for which an index is dictionaries.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from billing.usage.desk import KnownOrganization


class Scan:
    """There is never one."""


class Batch:
    """There is never one."""


class Recent:
    """Nothing is asked of it."""


class Index:
    """Series by their keys, and how far sources are heard of."""

    def __init__(self) -> None:
        self._series: dict[bytes, int] = {}
        self._heard: dict[tuple[int, str], tuple[int, int]] = {}

    def forget(self, first_number: int) -> None:
        """Everything."""
        self.forget_series()
        self._heard.clear()

    def forget_series(self) -> None:
        """All series."""
        self._series.clear()

    def add(self, key: str, org: "KnownOrganization") -> None:
        """Organizations are found elsewhere."""

    def series_count(self) -> int:
        """How many series are remembered."""
        return len(self._series)

    def learn_series(self, found: Mapping[bytes, int]) -> None:
        """Numbers of series, by key."""
        self._series |= found

    def series_of(self, key: bytes) -> int | None:
        """The number of a series."""
        return self._series.get(key)

    def is_news(self, org: "KnownOrganization", source: str, instant: int, now: int) -> bool:
        """Whether a source is heard of for the first time in a while."""
        until = self._heard.get((org.number, source))
        return until is None or instant >= until[0] or now >= until[1]

    def learn_heard(
        self, heard: "Mapping[tuple[KnownOrganization, str], int]", now: int, precision: int
    ) -> None:
        """What was noted of sources stands for a while."""
        for (org, source), instant in heard.items():
            self._heard[org.number, source] = (instant + precision, now + precision)


def scan(body: bytes, kind: int, events_max: int) -> None:
    """No body is read this way."""


def gather(*_: object) -> NoReturn:
    """Without scans there is nothing to gather."""
    raise NotImplementedError


unknown_subjects = gather
