"""What falls due when: a queue of instants, driven by whoever knows the time."""

import heapq
from typing import Generic, TypeVar

T = TypeVar("T")


class Agenda(Generic[T]):
    """Items by the unix second at which they fall due; equals in the order they were added."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, T]] = []
        self._tickets = 0

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, due: int, item: T) -> None:
        """Remember `item` for the instant `due`."""
        self._tickets += 1
        heapq.heappush(self._heap, (due, self._tickets, item))

    def pop_due(self, now: int) -> T | None:
        """Take the earliest item that is due by `now`, if there is one."""
        if self._heap and self._heap[0][0] <= now:
            return heapq.heappop(self._heap)[2]
        return None
