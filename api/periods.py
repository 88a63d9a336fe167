"""Spans of time as the API shows them."""

from datetime import datetime
from typing import Self

import strawberry

from billing.rules import periods


@strawberry.type(description="A span of time, half-open: `start` is inside, `end` is not. UTC.")
class Period:
    """Both ends are whole hours."""

    start: datetime = strawberry.field(description="The first instant inside.")
    end: datetime = strawberry.field(description="The first instant after it.")

    @classmethod
    def of(cls, value: periods.Period) -> Self:
        """The domain's period, shown."""
        return cls(start=value.start, end=value.end)
