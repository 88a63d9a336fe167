"""Charts drawn here as SVG geometry: attributes, never styles, so the strict CSP lets them be."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction

from billing.estimates import DayCost
from billing.rules.money import Currency, Money
from billing.rules.periods import Period
from web.formats import money

SLOT = 20
"""Width of one day in the chart's own units; the page stretches the whole."""
BAR = 14
HEIGHT = 120
_HAIRLINE = Fraction(3, 2)
_LABEL_EVERY_DAYS = 7


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
