from datetime import UTC, datetime, timedelta, timezone
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.rules.periods import (
    Period,
    ceil_hour,
    ended_periods,
    floor_hour,
    is_within_years,
    period_at,
    utc_day,
)

instants = st.integers(0, 20 * 365 * 24 * 60).map(
    lambda minutes: datetime(2020, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
)
anchors = st.integers(1, 31)


def on(year: int, month: int, day: int) -> datetime:
    return datetime(year, month, day, tzinfo=UTC)


@pytest.mark.parametrize(
    ("instant", "anchor", "start", "end"),
    [
        (on(2026, 11, 10), 1, on(2026, 11, 1), on(2026, 12, 1)),
        (on(2026, 11, 1), 1, on(2026, 11, 1), on(2026, 12, 1)),
        (on(2024, 2, 29), 1, on(2024, 2, 1), on(2024, 3, 1)),
        (on(2026, 2, 28), 31, on(2026, 2, 28), on(2026, 3, 31)),
        (on(2026, 3, 30), 31, on(2026, 2, 28), on(2026, 3, 31)),
        (on(2024, 2, 29), 30, on(2024, 2, 29), on(2024, 3, 30)),
        (on(2026, 1, 1), 15, on(2025, 12, 15), on(2026, 1, 15)),
    ],
)
def test_a_period_starts_on_its_anchor_day(
    instant: datetime, anchor: int, start: datetime, end: datetime
) -> None:
    assert period_at(instant, anchor) == Period(start, end)


@given(instant=instants, anchor=anchors)
def test_periods_hold_their_instant_and_leave_no_gap(instant: datetime, anchor: int) -> None:
    period = period_at(instant, anchor)

    assert instant in period
    assert period_at(period.end, anchor).start == period.end
    assert period_at(period.start - timedelta(microseconds=1), anchor).end == period.start
    assert 28 * 24 <= period.hours <= 31 * 24


def test_an_event_exactly_at_the_end_belongs_to_the_next_period() -> None:
    november = period_at(on(2026, 11, 10), 1)

    assert november.end not in november
    assert november.end - timedelta(microseconds=1) in november


def test_a_day_is_utc_in_whatever_zone_an_instant_is_written() -> None:
    in_tokyo = datetime(2026, 12, 1, 8, tzinfo=timezone(timedelta(hours=9)))

    assert utc_day(in_tokyo) == datetime(2026, 11, 30, tzinfo=UTC).date()


def test_an_offset_in_the_time_changes_nothing() -> None:
    in_auckland = datetime(2026, 12, 1, 12, 59, tzinfo=timezone(timedelta(hours=13)))

    assert period_at(in_auckland, 1).start == on(2026, 11, 1)


def test_hours_round_as_the_rules_say() -> None:
    afternoon = datetime(2026, 11, 15, 14, 37, tzinfo=UTC)

    assert floor_hour(afternoon).hour == 14
    assert ceil_hour(afternoon).hour == 15
    assert ceil_hour(floor_hour(afternoon)).hour == 14


@given(instant=instants, anchor=anchors, months=st.integers(0, 30))
def test_shares_of_a_period_cut_anywhere_sum_to_one(
    instant: datetime, anchor: int, months: int
) -> None:
    period = period_at(instant, anchor)
    cut = min(max(floor_hour(instant), period.start + timedelta(hours=1)), period.end)
    first = period.overlap(period.start, cut)
    rest = period.overlap(cut, None)

    assert first is not None
    assert period.share(first) + (period.share(rest) if rest else 0) == Fraction(1)


def test_ended_periods_are_all_and_only_those_that_are_over() -> None:
    ended = list(ended_periods(on(2026, 8, 20), on(2026, 11, 1), 1))

    assert [period.start.month for period in ended] == [8, 9, 10]


def test_instants_at_the_ends_of_time_are_not_taken() -> None:
    last = datetime(2199, 12, 31, 23, 59, tzinfo=UTC)
    far_west = timezone(timedelta(hours=-14))

    assert is_within_years(last)
    assert not is_within_years(last.replace(tzinfo=far_west))
    assert not is_within_years(datetime.max.replace(tzinfo=far_west))


def test_a_period_reads_by_its_days() -> None:
    assert str(period_at(datetime(2026, 2, 3, tzinfo=UTC), 31)) == "2026-01-31 to 2026-02-28"
