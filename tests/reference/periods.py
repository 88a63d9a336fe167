"""Billing periods and whole hours (§2)."""

from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction

from tests.reference.world import Organization

HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Period:
    """Half-open; `index` counts from the organization's first."""

    index: int
    start: datetime
    end: datetime


def period_at_index(organization: Organization, index: int) -> Period:
    """The index-th period, counted from the one the organization was opened in."""
    opened = organization.opened_at
    month = opened.year * 12 + opened.month - 1
    if _anchor(organization, month) > opened:
        month -= 1
    start = _anchor(organization, month + index)
    return Period(index, start, _anchor(organization, month + index + 1))


def period_of(organization: Organization, instant: datetime) -> Period:
    """The period an instant falls in; instants before the first period are nobody's."""
    assert instant >= period_at_index(organization, 0).start
    index = 0
    while period_at_index(organization, index).end <= instant:
        index += 1
    return period_at_index(organization, index)


def _anchor(organization: Organization, month: int) -> datetime:
    year, zero_based = divmod(month, 12)
    day = min(organization.anchor_day, monthrange(year, zero_based + 1)[1])
    return datetime(year, zero_based + 1, day, tzinfo=UTC)


def hour_down(instant: datetime) -> datetime:
    """Starts of subscriptions round down."""
    return instant.replace(minute=0, second=0, microsecond=0)


def hour_up(instant: datetime) -> datetime:
    """Whatever else splits usage rounds up."""
    down = hour_down(instant)
    return down if down == instant else down + HOUR


def seconds_between(start: datetime, end: datetime) -> Fraction:
    """Exact to the microsecond."""
    return Fraction((end - start) // timedelta(microseconds=1), 1_000_000)


def share_of(period: Period, start: datetime, end: datetime) -> Fraction:
    """Hours over the hours of the period."""
    return seconds_between(start, end) / seconds_between(period.start, period.end)
