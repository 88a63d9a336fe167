"""What falls due when: a queue of instants, driven by whoever knows the time."""

import heapq
from typing import Generic, TypeVar

T = TypeVar("T")


class Agenda(Generic[T]):
    """Items by the unix second at which they fall due; equals in the order they were added, but
    for those that push to the front.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, T]] = []
        self._tickets = 0

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, due: int, item: T, *, first: bool = False) -> None:
        """Remember `item` for the instant `due`, there before all that is remembered already if
        it is to be `first`.
        """
        self._tickets += 1
        ticket = -self._tickets if first else self._tickets
        heapq.heappush(self._heap, (due, ticket, item))

    def pop_due(self, now: int) -> T | None:
        """Take the earliest item that is due by `now`, if there is one."""
        if self._heap and self._heap[0][0] <= now:
            return heapq.heappop(self._heap)[2]
        return None
