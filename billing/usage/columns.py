"""Columns as PostgreSQL takes them cheapest: one text each, which it takes apart itself.

A driver that encodes arrays asks of each element what it is; a thousand events have ten thousand.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def as_numbers(numbers: Iterable[int]) -> str:
    """For `$1::text::bigint[]`."""
    return f"{{{str(list(numbers))[1:-1]}}}"


def microseconds_of(instant: datetime) -> int:
    """Since 1970, exactly: no float is made."""
    return (instant - _EPOCH) // _MICROSECOND
