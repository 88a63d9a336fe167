"""Lists as Stripe gives them: newest first, by cursor, with `has_more`.

A `Shelf` keeps objects in the order they were made, so a page costs what it shows, however many
objects there are. It relies on the clock never going back.
"""

import sys
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Generic, Protocol, TypeVar

from sandbox.stripe.errors import Body, StripeError, no_such
from sandbox.stripe.params import Params

PAGE_SIZE = 10
PAGE_SIZE_MAX = 100
END_OF_TIME = sys.maxsize


class Stored(Protocol):
    """What a shelf must know of an object. `created` is in unix seconds."""

    @property
    def id(self) -> str: ...
    @property
    def created(self) -> int: ...
    @property
    def deleted(self) -> bool: ...


T = TypeVar("T")
S = TypeVar("S", bound=Stored)


@dataclass(frozen=True, slots=True)
class Window:
    """Which page is asked for. At most one cursor is set."""

    limit: int = PAGE_SIZE
    starting_after: str | None = None
    ending_before: str | None = None

    @classmethod
    def of(cls, params: Params) -> "Window":
        """Recorded: a limit out of 1..100 is clamped silently, both cursors at once are refused."""
        after, before = params.get("starting_after"), params.get("ending_before")
        if after is not None and before is not None:
            raise StripeError(
                "Received both starting_after and ending_before parameters. Please pass in only"
                " one."
            )
        limit = max(1, min(params.get("limit", PAGE_SIZE), PAGE_SIZE_MAX))
        return cls(limit, after, before)


@dataclass(frozen=True, slots=True)
class Span:
    """A range of unix seconds, from `start` up to but without `end`."""

    start: int = 0
    end: int = END_OF_TIME

    @classmethod
    def of(cls, wanted: int | dict[str, int] | None) -> "Span":
        """From a `created` parameter: an instant, or bounds named gt, gte, lt and lte."""
        if wanted is None:
            return cls()
        if isinstance(wanted, int):
            return cls(wanted, wanted + 1)
        start = max(wanted.get("gte", 0), wanted.get("gt", -1) + 1)
        end = min(wanted.get("lt", END_OF_TIME), wanted.get("lte", END_OF_TIME - 1) + 1)
        return cls(start, end)

    def __contains__(self, instant: object) -> bool:
        return isinstance(instant, int) and self.start <= instant < self.end


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page. `has_more` means more in the direction of the cursor."""

    items: list[T]
    has_more: bool

    def body(self, url: str, render: Callable[[T], Body]) -> Body:
        """The list object; `url` is the path without its query."""
        return {
            "object": "list",
            "data": [render(item) for item in self.items],
            "has_more": self.has_more,
            "url": url,
        }


def cut(candidates: Iterable[T], window: Window) -> Page[T]:
    """A page off the front of `candidates`: newest first, or oldest first for `ending_before`."""
    found = list(islice(candidates, window.limit + 1))
    items = found[: window.limit]
    if window.ending_before is not None:
        items.reverse()
    return Page(items, len(found) > window.limit)


class Shelf(Generic[S]):
    """Objects of one noun in the order they were made, by id, and by owner where they have one.

    A deleted object keeps its place: recorded, its id still works as a cursor.
    """

    def __init__(self, noun: str, owner: Callable[[S], str] | None = None) -> None:
        self.noun = noun
        self._owner = owner
        self._rows: list[S] = []
        self._places: dict[str, int] = {}
        self._places_by_owner: dict[str, list[int]] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[S]:
        """Newest first, without the deleted."""
        return (row for row in reversed(self._rows) if not row.deleted)

    def add(self, item: S) -> S:
        """Put the newest object on the shelf."""
        place = len(self._rows)
        self._rows.append(item)
        self._places[item.id] = place
        if self._owner is not None:
            self._places_by_owner.setdefault(self._owner(item), []).append(place)
        return item

    def find(self, item_id: str) -> S | None:
        """The object of this id, also after its deletion."""
        place = self._places.get(item_id)
        return None if place is None else self._rows[place]

    def find_live(self, item_id: str) -> S | None:
        """The object of this id, unless it was deleted."""
        item = self.find(item_id)
        return None if item is None or item.deleted else item

    def owned_by(self, owner: str) -> Iterator[S]:
        """One owner's objects, newest first, without the deleted."""
        places = self._places_by_owner.get(owner, [])
        rows = (self._rows[place] for place in reversed(places))
        return (row for row in rows if not row.deleted)

    def page(
        self,
        window: Window,
        *,
        span: Span = Span(),
        owner: str | None = None,
        keep: Callable[[S], bool] = lambda _: True,
    ) -> Page[S]:
        """A page of the objects made within `span` that `keep` says yes to."""
        places: Sequence[int] = range(len(self._rows))
        if owner is not None:
            places = self._places_by_owner.get(owner, [])
        low = bisect_left(places, span.start, key=self._created)
        high = bisect_left(places, span.end, key=self._created)
        if window.starting_after is not None:
            cursor = self._place(window.starting_after, "starting_after")
            high = min(high, bisect_left(places, cursor))
        if window.ending_before is not None:
            cursor = self._place(window.ending_before, "ending_before")
            low = max(low, bisect_right(places, cursor))
            walk = range(low, high)
        else:
            walk = range(high - 1, low - 1, -1)
        rows = (self._rows[places[index]] for index in walk)
        return cut((row for row in rows if not row.deleted and keep(row)), window)

    def _created(self, place: int) -> int:
        return self._rows[place].created

    def _place(self, item_id: str, param: str) -> int:
        place = self._places.get(item_id)
        if place is None:
            raise no_such(self.noun, item_id, param)
        return place
