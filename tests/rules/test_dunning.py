"""What follows a declined payment."""

from datetime import UTC, datetime, timedelta

from billing.rules.dunning import dunning_of

NEXT = datetime(2026, 12, 5, 9, tzinfo=UTC)


def test_before_the_first_attempt_there_is_nothing_to_tell() -> None:
    assert dunning_of(0, NEXT, (3, 5)) is None
    assert dunning_of(0, None, ()) is None


def test_smart_retries_know_the_next_attempt_alone() -> None:
    told = dunning_of(2, NEXT, ())
    assert told is not None
    assert (told.attempts, told.next_at, told.planned_at) == (2, NEXT, ())
    assert told.is_smart
    assert told.attempts_left is None


def test_a_schedule_of_ones_own_tells_every_attempt_to_come() -> None:
    told = dunning_of(1, NEXT, (3, 5, 7))
    assert told is not None
    assert told.planned_at == (NEXT + timedelta(days=5), NEXT + timedelta(days=12))
    assert told.attempts_left == 3
    later = dunning_of(3, NEXT, (3, 5, 7))
    assert later is not None
    assert (later.planned_at, later.attempts_left) == ((), 1)


def test_after_the_last_attempt_none_is_left() -> None:
    told = dunning_of(4, None, (3, 5, 7))
    assert told is not None
    assert (told.next_at, told.planned_at, told.attempts_left) == (None, (), 0)


def test_more_attempts_than_the_schedule_has_are_no_trouble() -> None:
    told = dunning_of(9, NEXT, (3,))
    assert told is not None
    assert (told.planned_at, told.attempts_left) == ((), 1)
