"""Columns as PostgreSQL takes them cheapest: one text each, which it takes apart itself.

A driver that encodes arrays asks of each element what it is; a thousand events have ten thousand.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

SEPARATOR = "\x1f"
"""Between texts: ASCII's unit separator. Whoever joins texts asks `are_separable` before."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def as_numbers(numbers: Iterable[int]) -> str:
    """For `$1::text::bigint[]`."""
    return f"{{{str(list(numbers))[1:-1]}}}"


def as_decimals(decimals: Iterable[str]) -> str:
    """For `$1::text::numeric[]`; each as PostgreSQL reads it."""
    return f"{{{','.join(decimals)}}}"


def as_booleans(booleans: Iterable[bool]) -> str:
    """For `$1::text::boolean[]`."""
    return f"{{{','.join(['t' if one else 'f' for one in booleans])}}}"


def as_texts(texts: Iterable[str]) -> str:
    """For `string_to_array($1, E'\\x1f')`."""
    return SEPARATOR.join(texts)


def are_separable(texts: Iterable[str]) -> bool:
    """Whether none of them has the separator in it."""
    return SEPARATOR not in "".join(texts)


def microseconds_of(instant: datetime) -> int:
    """Since 1970, exactly: no float is made."""
    return (instant - _EPOCH) // _MICROSECOND
