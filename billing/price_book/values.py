"""The texts of a price book as values."""

import re
from datetime import UTC, datetime
from enum import StrEnum
from typing import Generic, TypeVar

from billing.errors import Invalid
from billing.names import did_you_mean
from billing.rules.quantities import exact_decimal

E = TypeVar("E", bound=StrEnum)

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_YEARS = range(2000, 9000)


class OneOf(Generic[E]):
    """Reads the name of an enum's member, such as GRADUATED."""

    def __init__(self, members: type[E], code: str) -> None:
        self._members = members
        self._code = code

    def __call__(self, text: str, *, field: str) -> E:
        """Raises `Invalid` naming all that would do."""
        try:
            return self._members(text)
        except ValueError:
            known = list(self._members)
            raise Invalid(
                f"{field} must be one of {', '.join(known)}, not {text[:40]!r}."
                f"{did_you_mean(text.upper(), known)}",
                code=self._code,
            ) from None


def number(text: str, *, field: str) -> str:
    """An exact decimal as it is stored: plain digits, as many as were written."""
    return f"{exact_decimal(text, field=field):f}"


def instant(text: str, *, field: str) -> datetime:
    """A date (its UTC midnight), or an instant that says its offset. Raises `Invalid`."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is not None and _DATE.fullmatch(text):
        found = found.replace(tzinfo=UTC)
    if found is None or found.tzinfo is None or found.year not in _YEARS:
        raise Invalid(
            f"{field} must be a date such as 2026-01-01, or an instant with its offset such as"
            f" 2026-01-01T12:00:00Z, not {text[:40]!r}.",
            code="INVALID_INSTANT",
        )
    return found.astimezone(UTC)
