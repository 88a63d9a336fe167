"""Billing periods: half-open `[start, end)`, UTC, split at whole hours only."""

import calendar
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction

from billing.errors import Invalid

YEARS = range(1970, 2200)
"""Of every instant we take in: the first and last ones there are become infinities in PostgreSQL's
driver, and no arithmetic can step past them."""

YEARS_TEXT = f"the years {YEARS[0]} to {YEARS[-1]}"

_HOUR = timedelta(hours=1)


def is_within_years(instant: datetime) -> bool:
    """Whether an aware instant lies in `YEARS`, in UTC."""
    try:
        return instant.astimezone(UTC).year in YEARS
    except OverflowError:
        return False


@dataclass(frozen=True, slots=True)
class Period:
    """`start` is inside, `end` is not; both whole UTC hours."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        assert self.start < self.end, (self.start, self.end)
        assert floor_hour(self.start) == self.start, self.start
        assert floor_hour(self.end) == self.end, self.end

    def __contains__(self, instant: datetime) -> bool:
        return self.start <= instant < self.end

    def __str__(self) -> str:
        return f"{self.start:%Y-%m-%d} to {self.end:%Y-%m-%d}"

    @property
    def hours(self) -> int:
        """How many hours it lasts: 720 for a month of 30 days."""
        return (self.end - self.start) // _HOUR

    @classmethod
    def of_hour(cls, instant: datetime) -> "Period":
        """The whole hour that holds `instant`."""
        start = floor_hour(instant)
        return cls(start, start + _HOUR)

    def overlap(self, start: datetime, end: datetime | None) -> "Period | None":
        """The part of it in `[start, end)`; an absent `end` is never. None when nothing is."""
        first = max(self.start, start)
        last = self.end if end is None else min(self.end, end)
        return Period(first, last) if first < last else None

    def share(self, part: "Period") -> Fraction:
        """Hours of `part` over hours of this period, exactly."""
        return Fraction(part.hours, self.hours)


def floor_hour(instant: datetime) -> datetime:
    """The whole UTC hour it lies in: where a subscription starts."""
    return instant.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def utc_day(instant: datetime) -> date:
    """The UTC day it lies in, whatever zone it is written in."""
    return instant.astimezone(UTC).date()


def ceil_hour(instant: datetime) -> datetime:
    """The next whole UTC hour, or itself: where everything but a start takes effect."""
    floored = floor_hour(instant)
    return floored if floored == instant else floored + _HOUR


def period_at(instant: datetime, anchor_day: int) -> Period:
    """The monthly period that holds `instant`, starting on `anchor_day` at 00:00 UTC.

    An anchor of 29-31 falls on the last day of a shorter month, and returns to itself after it.
    """
    instant = instant.astimezone(UTC)
    this = _anchor(instant.year, instant.month, anchor_day)
    if instant >= this:
        return Period(this, _anchor(*_month_after(this), anchor_day))
    return Period(_anchor(*_month_before(instant), anchor_day), this)


def month_named(text: str) -> Period:
    """The calendar month that `2026-11` names. Raises `Invalid`."""
    try:
        start = datetime.strptime(text, "%Y-%m").replace(tzinfo=UTC)
    except ValueError:
        start = None
    if start is None or f"{start:%Y-%m}" != text:
        raise Invalid(f"A month is written like 2026-11, not {text[:20]!r}.", field="period")
    return period_at(start, 1)


def period_after(period: Period, anchor_day: int) -> Period:
    """The period that starts where this one ends."""
    return period_at(period.end, anchor_day)


def ended_periods(since: datetime, now: datetime, anchor_day: int) -> Iterator[Period]:
    """Periods from the one that holds `since`, oldest first, whose end has passed by `now`."""
    period = period_at(since, anchor_day)
    while period.end <= now:
        yield period
        period = period_after(period, anchor_day)


def _anchor(year: int, month: int, anchor_day: int) -> datetime:
    day = min(anchor_day, calendar.monthrange(year, month)[1])
    return datetime(year, month, day, tzinfo=UTC)


def _month_after(instant: datetime) -> tuple[int, int]:
    return (instant.year + 1, 1) if instant.month == 12 else (instant.year, instant.month + 1)


def _month_before(instant: datetime) -> tuple[int, int]:
    return (instant.year - 1, 12) if instant.month == 1 else (instant.year, instant.month - 1)
