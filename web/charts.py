"""Charts drawn here as SVG geometry: attributes, never styles, so the strict CSP lets them be."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from fractions import Fraction

from billing.estimates import DayCost
from billing.rules.aggregation import Aggregation
from billing.rules.money import Currency, Money
from billing.rules.periods import Period
from billing.usage import HourBehind
from web.formats import money, quantity

SLOT = 20
"""Width of one day in the chart's own units; the page stretches the whole."""
BAR = 14
HEIGHT = 120
_HAIRLINE = Fraction(3, 2)
_LABEL_EVERY_DAYS = 7
_LABEL_EVERY_HOURS = 6
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
HOURLY_MAX = 72
"""So many hours of a line still have a column each."""
_ADDED = frozenset({Aggregation.SUM, Aggregation.COUNT, Aggregation.TIME_WEIGHTED})


@dataclass(frozen=True, slots=True)
class Bar:
    """One day: where it stands, and what it says. `label` is written under some of the bars."""

    x: int
    y: str
    height: str
    day: date
    amount: str
    label: str
    is_today: bool
    is_future: bool


@dataclass(frozen=True, slots=True)
class DayChart:
    """The open period's days. `peak` is the dearest day's amount, None without any usage."""

    bars: tuple[Bar, ...]
    peak: str | None

    @property
    def width(self) -> int:
        """In the chart's own units."""
        return len(self.bars) * SLOT

    @property
    def past(self) -> list[Bar]:
        """The days there is something to say of, newest first."""
        return [bar for bar in reversed(self.bars) if not bar.is_future]


@dataclass(frozen=True, slots=True)
class Column:
    """One hour, or one day, of usage. `label` is written under some of them."""

    x: int
    y: str
    height: str
    title: str
    label: str


@dataclass(frozen=True, slots=True)
class UsageChart:
    """What a line was counted from, over its time. `says` what each column stands for."""

    columns: tuple[Column, ...]
    says: str
    peak: str

    @property
    def width(self) -> int:
        """In the chart's own units."""
        return len(self.columns) * SLOT


def usage_chart(
    hours: Sequence[HourBehind], span: Period, aggregation: Aggregation, unit: str
) -> UsageChart | None:
    """By hour for up to three days, else by day: what adds up added up, else its highest hour."""
    width = HOUR if span.hours <= HOURLY_MAX else DAY
    is_sum = aggregation in _ADDED
    found: dict[datetime, Fraction] = {}
    for one in hours:
        start = one.hour if width == HOUR else one.hour.replace(hour=0)
        before = found.get(start, Fraction(0))
        found[start] = before + one.quantity if is_sum else max(before, one.quantity)
    highest = max(found.values(), default=Fraction(0))
    if not highest:
        return None
    first = span.start if width == HOUR else span.start.replace(hour=0)
    starts = [first + width * number for number in range(-((first - span.end) // width))]
    columns = [
        _column(number, start, found.get(start, Fraction(0)), highest, width, unit)
        for number, start in enumerate(starts)
    ]
    each = "hour" if width == HOUR else "day"
    says = f"Each {each}" if is_sum or width == HOUR else "The highest hour of each day"
    return UsageChart(tuple(columns), says, quantity(highest, unit))


def _column(
    number: int, start: datetime, value: Fraction, highest: Fraction, width: timedelta, unit: str
) -> Column:
    height = _height(value, highest)
    is_hour = width == HOUR
    name = f"{start.day} {start:%b}{f', {start:%H:%M}' if is_hour else ''}"
    label = f"{start:%H}" if is_hour else str(start.day)
    return Column(
        x=number * SLOT + (SLOT - BAR) // 2,
        y=_tenths(HEIGHT - height),
        height=_tenths(height),
        title=f"{name}: {quantity(value, unit)}",
        label="" if number % (_LABEL_EVERY_HOURS if is_hour else _LABEL_EVERY_DAYS) else label,
    )


def day_chart(period: Period, days: Sequence[DayCost], currency: Currency) -> DayChart:
    """A bar for every day of the period; those to come stand empty."""
    costs = {cost.day: cost.exact_minor for cost in days}
    highest = max(costs.values(), default=Fraction(0))
    today = max(costs, default=None)
    bars = []
    for i in range((period.end - period.start).days):
        day = (period.start + timedelta(days=i)).date()
        cost = costs.get(day)
        height = _height(cost, highest)
        bars.append(
            Bar(
                x=i * SLOT + (SLOT - BAR) // 2,
                y=_tenths(HEIGHT - height),
                height=_tenths(height),
                day=day,
                amount="" if cost is None else _amount(cost, currency),
                label="" if i % _LABEL_EVERY_DAYS else str(day.day),
                is_today=day == today,
                is_future=cost is None,
            )
        )
    return DayChart(tuple(bars), _amount(highest, currency) if highest else None)


def _height(cost: Fraction | None, highest: Fraction) -> Fraction:
    """In proportion to the dearest day; a hairline for a day of nothing, so that it is seen."""
    if not cost:
        return _HAIRLINE
    return max(cost / highest * HEIGHT, _HAIRLINE)


def _amount(exact_minor: Fraction, currency: Currency) -> str:
    return money(Money.rounded(exact_minor, currency), exact_minor)


def _tenths(length: Fraction) -> str:
    tenths = round(length * 10)
    return f"{tenths // 10}.{tenths % 10}"
