"""Where the open period is going."""

from typing import Self

import strawberry

from api.money import Money
from billing.rules import forecast


@strawberry.type(
    description="What the period will have cost when it ends, as a range: before tax, after"
    " reductions, comparable with `accrued`."
)
class Forecast:
    """Null before 00:00 UTC of the period's third day."""

    low: Money = strawberry.field(description="Never below `accrued`.")
    expected: Money = strawberry.field(description="At the mean of the days counted on.")
    high: Money = strawberry.field(description="Never above the maximum bill.")
    fixed: Money = strawberry.field(description="The certain part: fees and one-off items.")
    method: str = strawberry.field(
        description="How it was found, such as: if the last 7 days continue."
    )

    @classmethod
    def of(cls, value: forecast.Forecast) -> Self:
        """The domain's forecast, shown."""
        return cls(
            low=Money.of(value.low),
            expected=Money.of(value.expected),
            high=Money.of(value.high),
            fixed=Money.of(value.fixed),
            method=value.method,
        )
