from datetime import UTC, date, datetime
from fractions import Fraction

from billing.estimates import DayCost
from billing.rules.money import Currency
from billing.rules.periods import Period
from web.charts import HEIGHT, day_chart

NOVEMBER = Period(datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC))


def costs(*minor: int | str) -> list[DayCost]:
    return [DayCost(date(2026, 11, i), Fraction(x)) for i, x in enumerate(minor, start=1)]


def test_bars_stand_in_proportion_to_the_dearest_day() -> None:
    chart = day_chart(NOVEMBER, costs(200, 100, 0), Currency.USD)

    assert len(chart.bars) == 30
    assert chart.peak == "$2.00"
    assert [(bar.y, bar.height) for bar in chart.bars[:2]] == [("0.0", "120.0"), ("60.0", "60.0")]
    assert chart.bars[2].amount == "$0.00"
    assert chart.bars[2].height == "1.5", "nothing is seen to be nothing, not missing"


def test_today_is_marked_and_days_to_come_say_nothing() -> None:
    chart = day_chart(NOVEMBER, costs(1, 2, 3), Currency.USD)

    assert [bar.is_today for bar in chart.bars[:4]] == [False, False, True, False]
    assert all(bar.is_future and not bar.amount for bar in chart.bars[3:])
    assert [bar.day.day for bar in chart.past] == [3, 2, 1]


def test_a_month_without_usage_has_no_peak() -> None:
    assert day_chart(NOVEMBER, costs(0, 0), Currency.USD).peak is None
    assert day_chart(NOVEMBER, [], Currency.USD).peak is None


def test_bars_never_leave_the_chart() -> None:
    chart = day_chart(NOVEMBER, costs("1/3", "1000000007/7", 3), Currency.JPY)

    for bar in chart.bars:
        assert 0 <= Fraction(bar.y) <= Fraction(bar.y) + Fraction(bar.height) <= HEIGHT
        assert bar.x + 14 <= chart.width
