"""Current charges: the live estimate, whole, from one snapshot."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated, Self

import strawberry

from api.context import Info
from api.cost import priced
from api.forecasts import Forecast
from api.lines import LineItem, Origin
from api.loaders import Current
from api.money import Money
from api.periods import Period
from api.reductions import MaximumBill
from api.scalars import exactly
from billing.errors import Invalid
from billing.forecasts import forecast_for
from billing.rules import completeness
from billing.rules.ladders import Unpriced
from billing.rules.money import total_of

SHARES_DEFAULT = 20
SHARES_MAX = 1_000
BREAKDOWN_COST = 100
FORECAST_COST = 50

Dimension = Annotated[str, strawberry.argument(description="app, region, resource, … or product.")]
Shares = Annotated[
    int | None, strawberry.argument(description=f"How many at most, 1 to {SHARES_MAX:,}.")
]


@strawberry.type(description="An hour of which a source says it sent something else than has come.")
class MissingHour:
    """A control total that differs."""

    hour: datetime = strawberry.field(description="The hour's start.")
    meter: str = strawberry.field(description="The meter's name.")
    sent_events: int = strawberry.field(description="How many events the source says it sent.")
    counted_events: int = strawberry.field(description="How many had come when last compared.")
    sent_total: Decimal = strawberry.field(description="What it says their values add up to.")
    counted_total: Decimal = strawberry.field(description="What those that had come add up to.")

    @classmethod
    def of(cls, value: completeness.MissingHour) -> Self:
        """The domain's finding, shown."""
        return cls(
            hour=value.hour,
            meter=value.meter,
            sent_events=value.sent_events,
            counted_events=value.counted_events,
            sent_total=exactly(value.sent_total),
            counted_total=exactly(value.counted_total),
        )


@strawberry.type(description="How far one source of usage has been heard of.")
class SourceFreshness:
    """What the figures cannot know yet."""

    source: str = strawberry.field(description="As the source names itself in its events.")
    last_occurred_at: datetime | None = strawberry.field(
        description="The latest event's own time; null while none has come."
    )
    last_recorded_at: datetime | None = strawberry.field(
        description="When an event last came in; null while none has."
    )
    late_by_seconds: int | None = strawberry.field(
        description="From the latest event's own time to `asOf`; at least 0."
    )
    through: datetime | None = strawberry.field(
        description="Until when it has sent everything, by its heartbeats; null without any."
    )
    behind_seconds: int | None = strawberry.field(
        description="From `through` to `asOf`, once that is over 15 minutes; else null."
    )
    missing_hours: list[MissingHour] = strawberry.field(
        description="Hours of the open period whose totals differ, the latest 50, oldest first."
    )

    @classmethod
    def of(cls, value: completeness.SourceState, as_of: datetime) -> Self:
        """How far behind `as_of` the source is."""
        last = value.last_occurred_at
        return cls(
            source=value.source,
            last_occurred_at=last,
            last_recorded_at=value.last_recorded_at,
            late_by_seconds=None if last is None else max(0, _seconds(as_of - last)),
            through=value.through,
            behind_seconds=None if value.behind is None else _seconds(value.behind),
            missing_hours=[MissingHour.of(hour) for hour in value.missing_hours],
        )


def _seconds(span: timedelta) -> int:
    return span // timedelta(seconds=1)


@strawberry.type(description="Usage that no price matches: counted, and not charged for.")
class UnpricedUsage:
    """Shown, so that nobody mistakes it for free."""

    meter: str = strawberry.field(description="The meter's slug.")
    quantity: Decimal = strawberry.field(description="What was counted in the period.")
    unit: str = strawberry.field(description="What the quantity counts.")

    @classmethod
    def of(cls, value: Unpriced) -> Self:
        """The domain's finding, shown."""
        return cls(meter=value.meter, quantity=exactly(value.quantity), unit=value.unit)


@strawberry.type(description="What one value of a dimension costs.")
class CostShare:
    """Shares are whole minor units."""

    value: str | None = strawberry.field(
        description="Such as the app's name; null for what is not tied to the dimension."
    )
    amount: Money = strawberry.field(description="Its part of `accrued`.")


@strawberry.type(description="Who caused the cost, the dearest first.")
class CostBreakdown:
    """`shares` and `others` together are exactly `accrued`."""

    dimension: str = strawberry.field(description="What it is broken down by.")
    shares: list[CostShare] = strawberry.field(description="The dearest, at most `first`.")
    others: Money = strawberry.field(description="What the rest comes to.")
    others_count: int = strawberry.field(description="How many values the rest is.")


@strawberry.type(
    description="What the open period costs so far, by the function that will invoice it."
)
class Estimate:
    """Every figure is of one moment: one snapshot of the database."""

    current: strawberry.Private[Current]
    period: Period = strawberry.field(description="The open period.")
    as_of: datetime = strawberry.field(description="The moment the figures are of.")
    freshness: list[SourceFreshness] = strawberry.field(
        description="How far each source of usage has been heard of; empty for the past."
    )
    completeness: str = strawberry.field(
        description="The same in words; empty where no source sends heartbeats."
    )
    accrued: Money = strawberry.field(
        description="This period so far: usage, fees and one-off items. The headline."
    )
    in_advance: Money = strawberry.field(
        description="The next period's fees, invoiced with this one."
    )
    total: Money = strawberry.field(description="What the invoice would ask for.")
    digest: str = strawberry.field(
        description="Equal digests are equal figures: the issued invoice carries the same."
    )
    unpriced: list[UnpricedUsage] = strawberry.field(description="Usage no price matches.")

    @classmethod
    def of(cls, current: Current) -> Self:
        """The domain's estimate, shown."""
        value = current.estimate
        return cls(
            current=current,
            period=Period.of(value.period),
            as_of=value.as_of,
            freshness=[SourceFreshness.of(source, value.as_of) for source in value.sources],
            completeness=completeness.completeness_sentence(value.sources, value.as_of),
            accrued=Money.of(value.accrued),
            in_advance=Money.of(value.in_advance),
            total=Money.of(value.total),
            digest=value.digest,
            unpriced=[UnpricedUsage.of(one) for one in value.unpriced],
        )

    @strawberry.field(description="How far it is towards the maximum bill; null without one.")
    def maximum_bill(self) -> MaximumBill | None:
        """Before tax, grants and credit."""
        estimate = self.current.estimate
        standing = estimate.maximum
        return None if standing is None else MaximumBill.of(standing, estimate.draft.currency)

    @strawberry.field(description="The invoice's lines as they would stand, in order.")
    def lines(self) -> list[LineItem]:
        """With their arithmetic."""
        estimate = self.current.estimate
        origin = Origin(self.current.org.id, estimate.basis)
        return [LineItem.of(line, origin) for line in estimate.lines]

    @strawberry.field(
        description="Who caused `accrued`, by a dimension of the meters or by product.",
        metadata=priced(BREAKDOWN_COST),
    )
    def by(self, dimension: Dimension, first: Shares = SHARES_DEFAULT) -> CostBreakdown:
        """The parts sum to `accrued` to the minor unit. Raises `Invalid` for an unknown one."""
        size = shares_asked(first)
        shares = self.current.by(dimension)
        rest = [share.amount for share in shares[size:]]
        return CostBreakdown(
            dimension=dimension,
            shares=[CostShare(value=x.value, amount=Money.of(x.amount)) for x in shares[:size]],
            others=Money.of(total_of(rest, self.current.estimate.draft.currency)),
            others_count=len(rest),
        )

    @strawberry.field(
        description="Where the period is going; null before its third day (UTC), and for the past.",
        metadata=priced(FORECAST_COST),
    )
    async def forecast(self, info: Info) -> Forecast | None:
        """From the same estimate, and what each of its days cost."""
        async with info.context.reading() as session:
            found = await forecast_for(session, self.current.org, self.current.estimate)
        return None if found is None else Forecast.of(found)


def shares_asked(first: int | None) -> int:
    """How many parts of a whole are wanted. Raises `Invalid` for none, or too many."""
    size = SHARES_DEFAULT if first is None else first
    if not 1 <= size <= SHARES_MAX:
        raise Invalid(f"first must be 1 to {SHARES_MAX}, not {size}.", field="first")
    return size
