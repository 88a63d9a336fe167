"""Who goes first at Stripe: a person who waits, then what we were told of, then the month's close.

The lane belongs to the work, not to the call, so it travels in a context variable: what a sweep
asks of Stripe, down to the last page of a list, is in the sweep's lane.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from enum import Enum


class Lane(Enum):
    """The value is the share of a bucket's burst that a lane leaves to those before it.

    A lane may use the whole rate while nobody before it wants any; somebody before it always finds
    a token that it was not allowed to take.
    """

    INTERACTIVE = 0.0
    REFETCH = 0.25
    MONTH_CLOSE = 0.5


_lane: ContextVar[Lane] = ContextVar("stripe_lane", default=Lane.INTERACTIVE)


def current_lane() -> Lane:
    """The lane of the work at hand; a person's, unless somebody has said otherwise."""
    return _lane.get()


@contextmanager
def in_lane(lane: Lane) -> Iterator[None]:
    """Everything asked of Stripe inside, by tasks begun inside too, is in this lane."""
    token = _lane.set(lane)
    try:
        yield
    finally:
        _lane.reset(token)
