from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest

from billing.rules.money import Currency, Money
from billing.rules.periods import Period
from web import formats

NOW = datetime(2026, 11, 10, 14, 1, 40, tzinfo=UTC)


def spaced(text: str) -> str:
    """With plain spaces, to be read here."""
    return text.replace("\u00a0", " ")


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [
        (3837, Currency.USD, "$38.37"),
        (123456789, Currency.USD, "$1,234,567.89"),
        (-31, Currency.USD, "−$0.31"),
        (0, Currency.EUR, "€0.00"),
        (5, Currency.JPY, "¥5"),
        (1230, Currency.BHD, "BHD 1.230"),
        (100, Currency.CAD, "CA$1.00"),
    ],
)
def test_money(minor: int, currency: Currency, text: str) -> None:
    assert spaced(formats.money(Money(minor, currency))) == text


def test_a_little_is_never_shown_as_nothing() -> None:
    nothing = Money(0, Currency.USD)

    assert formats.money(nothing, Fraction(0)) == "$0.00"
    assert formats.money(nothing, Fraction(1, 3)) == "<$0.01"
    assert formats.money_data(nothing, Fraction(1, 3)) == '<data value="0.00">&lt;$0.01</data>'


def test_a_price_is_never_rounded() -> None:
    assert formats.unit_price(Decimal("0.00000088"), Currency.USD) == "$0.00000088"
    assert formats.unit_price(Decimal("8.8E-7"), Currency.USD) == "$0.00000088"
    assert formats.unit_price(Decimal("1250"), Currency.USD) == "$1,250.00"
    assert formats.unit_price(Decimal("1.5"), Currency.JPY) == "¥1.5"


def test_work_shows_every_decimal_there_is() -> None:
    assert formats.work(Fraction(5939, 10), Currency.USD) == "$5.939"
    assert formats.work(Fraction(500), Currency.USD) == "$5.00"
    assert spaced(formats.work(Fraction(29 * 370 * 100, 720), Currency.USD)) == "≈ $14.902778"


def test_quantities() -> None:
    assert spaced(formats.quantity(Decimal("412.600"), "GB")) == "412.6 GB"
    assert formats.quantity(Decimal("1E+6")) == "1,000,000"
    assert spaced(formats.quantity(Fraction(1, 3), "GB")) == "≈ 0.333333 GB"
    assert formats.short_quantity(Decimal("1234.56789")) == "1,234.568"
    assert spaced(formats.short_quantity(Decimal("0.00001"), "GB")) == "<0.001 GB"
    assert formats.short_quantity(Decimal(0)) == "0"


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [
        (1, 3, "33.3 %"),
        (594, 594, "100.0 %"),
        (1, 100_000, "<0.1 %"),
        (0, 10, "0.0 %"),
        (0, 0, "–"),
    ],
)
def test_shares(part: int, whole: int, text: str) -> None:
    assert spaced(formats.share(part, whole)) == text


@pytest.mark.parametrize(
    ("start", "end", "text"),
    [
        ("2026-11-01", "2026-12-01", "1–30 Nov 2026"),
        ("2026-11-05", "2026-11-06", "5 Nov 2026"),
        ("2026-11-15", "2026-12-15", "15 Nov – 14 Dec 2026"),
        ("2026-12-15", "2027-01-15", "15 Dec 2026 – 14 Jan 2027"),
    ],
)
def test_periods_name_their_first_and_last_day(start: str, end: str, text: str) -> None:
    first, last = (datetime.fromisoformat(x).replace(tzinfo=UTC) for x in (start, end))
    assert formats.days(Period(first, last)) == text
    assert formats.period(Period(first, last)) == f"{text} (UTC)"


def test_times_carry_their_instant() -> None:
    element = '<time datetime="2026-11-10T14:01:40Z">{}</time>'

    assert formats.clock(NOW) == element.format("14:01:40 UTC")
    assert formats.clock(NOW, NOW + timedelta(hours=1)) == element.format("14:01:40 UTC")
    assert formats.clock(NOW, NOW + timedelta(days=1)) == element.format("10 Nov, 14:01:40 UTC")
    assert formats.day(NOW) == element.format("10 Nov 2026")
    assert formats.moment(NOW) == element.format("10 Nov 2026, 14:01 UTC")


def test_the_day_a_period_is_over_by() -> None:
    november = Period(datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC))

    assert formats.last_day(november) == "30 November"


@pytest.mark.parametrize(
    ("day", "text"), [(1, "1st"), (2, "2nd"), (3, "3rd"), (4, "4th"), (12, "12th"), (23, "23rd")]
)
def test_a_day_of_the_month(day: int, text: str) -> None:
    assert formats.ordinal_day(datetime(2026, 11, day, tzinfo=UTC)) == text
