"""Keyset connections: a page starts after a position, not after a count.

So rows added meanwhile neither repeat nor hide anything, and page 1,000 costs as much as page 1.
"""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Generic, Self, TypeVar

import strawberry

from billing.errors import Invalid

PAGE_SIZE_DEFAULT = 25
PAGE_SIZE_MAX = 100

First = Annotated[
    int | None, strawberry.argument(description=f"How many at most, 1 to {PAGE_SIZE_MAX}.")
]
After = Annotated[
    str | None, strawberry.argument(description="The `endCursor` of the page before.")
]

Item = TypeVar("Item")
Row = TypeVar("Row")


@strawberry.type(description="Where a page lies in its list (Relay cursor connections).")
class PageInfo:
    """Forward paging: ask again with `after: endCursor` while `hasNextPage`."""

    has_next_page: bool = strawberry.field(description="Whether more follows.")
    has_previous_page: bool = strawberry.field(description="Whether this page came after another.")
    start_cursor: str | None = strawberry.field(description="Of the first item; null for none.")
    end_cursor: str | None = strawberry.field(description="Of the last item; null for none.")


@strawberry.type(description="An item and its position in the list.")
class Edge(Generic[Item]):
    """One item of a connection."""

    cursor: str = strawberry.field(description="Opaque; give it as `after` to continue here.")
    node: Item = strawberry.field(description="The item.")


@strawberry.type(description="One page of a list.")
class Connection(Generic[Item]):
    """`nodes` for those who only want the items, `edges` for those who want every cursor."""

    nodes: list[Item] = strawberry.field(description="The items of this page.")
    edges: list[Edge[Item]] = strawberry.field(description="The same with their cursors.")
    page_info: PageInfo = strawberry.field(description="Whether and where the list goes on.")


@dataclass(frozen=True, slots=True)
class Keyset:
    """How one list is ordered: `name` keeps its cursors from being used on another list."""

    name: str
    size: int

    def cursor(self, *position: str) -> str:
        """The position of an item: the sort values that make it unique."""
        assert len(position) == self.size, position
        text = json.dumps([self.name, *position], separators=(",", ":"))
        return urlsafe_b64encode(text.encode()).decode()

    def position(self, cursor: str) -> tuple[str, ...]:
        """Back again. Raises `Invalid` for what was never a cursor of this list."""
        try:
            name, *position = json.loads(urlsafe_b64decode(cursor.encode()))
        except (ValueError, TypeError):
            name, position = None, []
        texts = tuple(map(str, position))
        if name != self.name or len(texts) != self.size or not all(map(str.isprintable, texts)):
            raise self.refusal(cursor)
        return texts

    def refusal(self, cursor: str) -> Invalid:
        """Says what a cursor is, for what only looks like one."""
        return Invalid(
            f"after: {cursor[:60]!r} is not a cursor of this list;"
            " give the endCursor of an earlier page unchanged.",
            code="INVALID_CURSOR",
            field="after",
        )


@dataclass(frozen=True, slots=True)
class Page:
    """What was asked for: at most `size` items, after `after` when that is given."""

    size: int
    after: str | None

    @classmethod
    def asked(cls, first: int | None, after: str | None) -> Self:
        """Raises `Invalid` for a size outside 1 to `PAGE_SIZE_MAX`."""
        size = PAGE_SIZE_DEFAULT if first is None else first
        if not 1 <= size <= PAGE_SIZE_MAX:
            raise Invalid(f"first must be 1 to {PAGE_SIZE_MAX}, not {size}.", field="first")
        return cls(size, after)

    @property
    def limit(self) -> int:
        """How many rows to fetch: the one too many tells that more follows."""
        return self.size + 1

    def connection(
        self, rows: Sequence[Row], item: Callable[[Row], Item], cursor: Callable[[Row], str]
    ) -> Connection[Item]:
        """Rows fetched by `limit`, as the page that was asked for."""
        shown = rows[: self.size]
        edges = [Edge(cursor=cursor(row), node=item(row)) for row in shown]
        return Connection(
            nodes=[edge.node for edge in edges],
            edges=edges,
            page_info=PageInfo(
                has_next_page=len(rows) > self.size,
                has_previous_page=self.after is not None,
                start_cursor=edges[0].cursor if edges else None,
                end_cursor=edges[-1].cursor if edges else None,
            ),
        )
