"""What changed since the last bill, in movements that sum to the difference."""

from typing import Annotated, Self

import strawberry

from api.charges import Shares, shares_asked
from api.context import Info
from api.money import Money
from api.periods import Period
from billing.bill_diffs import Compared, diff_with_last
from billing.models import Organization
from billing.rules import bill_diff, periods
from billing.rules.bill_diff import MovementKind
from billing.rules.money import total_of

strawberry.enum(
    MovementKind,
    description="Why a bill moved. VOLUME is more or less of the same at the old effective price,"
    " PRICE what another price version made of it.",
)

SameDays = Annotated[
    bool,
    strawberry.argument(
        description="Whether to compare only with as much of the last period as has passed of this"
        " one: usage, fees and one-off items, before reductions and tax."
    ),
]


@strawberry.type(description="One of the two bills that are compared.")
class ComparedBill:
    """The open period has no number yet."""

    period: Period = strawberry.field(description="The time it is for.")
    number: str | None = strawberry.field(description="As printed on it; null for the open period.")
    total: Money = strawberry.field(description="What of it is compared comes to so much.")

    @classmethod
    def of(cls, period: periods.Period, number: str | None, total: Money) -> Self:
        """One side, shown."""
        return cls(period=Period.of(period), number=number, total=total)


@strawberry.type(description="One reason for the difference.")
class Movement:
    """Its amount is positive when it makes the later bill dearer."""

    kind: MovementKind = strawberry.field(description="Why.")
    product: str = strawberry.field(description="What it is about: a product, a fee, a tax.")
    resource: str | None = strawberry.field(
        description="For NEW and GONE what appeared or went; else null."
    )
    region: str | None = strawberry.field(description="Where the resource runs; null if unknown.")
    amount: Money = strawberry.field(description="Its part of `difference`.")
    words: str = strawberry.field(description="For people, with the amount.")

    @classmethod
    def of(cls, value: bill_diff.Movement) -> Self:
        """The domain's movement, shown."""
        return cls(
            kind=value.kind,
            product=value.product,
            resource=value.resource.name if value.resource else None,
            region=(value.resource.place or None) if value.resource else None,
            amount=Money.of(value.amount),
            words=value.words,
        )


@strawberry.type(description="Why the open period's bill differs from the last one.")
class BillDiff:
    """`movements` and `others` together are exactly `difference`."""

    from_: ComparedBill = strawberry.field(name="from", description="The last issued invoice.")
    to: ComparedBill = strawberry.field(description="The open period as it stands.")
    difference: Money = strawberry.field(description="`to` less `from`.")
    movements: list[Movement] = strawberry.field(description="The biggest, at most `first`.")
    others: Money = strawberry.field(description="What the other movements come to.")
    others_count: int = strawberry.field(description="How many they are.")
    words: str = strawberry.field(description="The whole in one sentence that sums up too.")

    @classmethod
    def of(cls, value: Compared, size: int) -> Self:
        """The domain's comparison, shown."""
        diff = value.diff
        rest = [one.amount for one in diff.movements[size:]]
        return cls(
            from_=ComparedBill.of(value.before, value.before_number, Money.of(diff.before)),
            to=ComparedBill.of(value.after, value.after_number, Money.of(diff.after)),
            difference=Money.of(diff.difference),
            movements=[Movement.of(one) for one in diff.movements[:size]],
            others=Money.of(total_of(rest, diff.after.currency)),
            others_count=len(rest),
            words=value.words,
        )


async def bill_diff_of(
    info: Info, org: Organization, first: Shares, *, same_days: bool
) -> BillDiff | None:
    """The estimate of the request itself against the last invoice."""
    size = shares_asked(first)
    current = await info.context.loaders.charges.load(org)
    async with info.context.reading() as session:
        found = await diff_with_last(session, org, current.estimate, same_days=same_days)
    return None if found is None else BillDiff.of(found, size)
