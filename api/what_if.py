"""What an organization would have paid on another plan."""

from typing import Annotated, Self

import strawberry

from api.context import Info
from api.lines import LineItem
from api.money import Money
from api.periods import Period
from billing.models import Organization
from billing.repricing import PERIODS_MAX, Effect, OrganizationEffect, on_plan

WHAT_IF_COST = 500

OtherPlan = Annotated[str, strawberry.argument(description="The slug of the plan to try.")]
Periods = Annotated[
    int, strawberry.argument(description=f"How many periods back, 1 to {PERIODS_MAX}.")
]
InsteadOf = Annotated[
    str | None,
    strawberry.argument(
        description="The slug of the plan to leave; needed only by those on several at once."
    ),
]


@strawberry.type(description="One issued period at its own prices, and at the others.")
class WhatIfPeriod:
    """Computed anew from usage as it is known now."""

    period: Period = strawberry.field(description="The time it is for.")
    before: Money = strawberry.field(description="Usage and fees at its own prices.")
    after: Money = strawberry.field(description="The same usage and time on the other plan.")
    difference: Money = strawberry.field(description="`after` less `before`.")
    lines: list[LineItem] = strawberry.field(description="What makes `after`.")

    @classmethod
    def of(cls, value: Effect) -> Self:
        """The domain's effect, shown."""
        return cls(
            period=Period.of(value.period),
            before=Money.of(value.before),
            after=Money.of(value.after),
            difference=Money.of(value.difference),
            lines=[LineItem.of(line) for line in value.lines],
        )


@strawberry.type(
    description="What the latest issued periods would have cost on another plan: usage and fees,"
    " before coupons, the maximum bill, credits and tax."
)
class WhatIf:
    """The sums of its periods."""

    before: Money = strawberry.field(description="At its own prices.")
    after: Money = strawberry.field(description="On the other plan.")
    difference: Money = strawberry.field(description="`after` less `before`.")
    periods: list[WhatIfPeriod] = strawberry.field(
        description="The latest first; none while nothing is issued."
    )

    @classmethod
    def of(cls, value: OrganizationEffect) -> Self:
        """The domain's effect, shown."""
        return cls(
            before=Money.of(value.before),
            after=Money.of(value.after),
            difference=Money.of(value.difference),
            periods=[WhatIfPeriod.of(effect) for effect in value.effects],
        )


async def what_if_on(
    info: Info, org: Organization, plan: str, periods: int, instead_of: str | None
) -> WhatIf:
    """Raises `NotFound`, `Invalid` or `Conflict` for a plan that cannot be tried."""
    async with info.context.reading() as session:
        found = await on_plan(
            session, org, plan, info.context.now, periods=periods, instead_of=instead_of
        )
    return WhatIf.of(found)
