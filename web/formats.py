"""How figures are written for people: exact, grouped, never through a float."""

from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction

from markupsafe import Markup

from billing.rules.money import MINUS, Currency, Money
from billing.rules.periods import Period
from billing.rules.quantities import plain

NBSP = "\u00a0"
_APPROXIMATE_DECIMALS = 6
_TABLE_DECIMALS = 3


def money(amount: Money, exact_minor: Fraction | None = None) -> str:
    """ "$1,234.50", "¥5", "−$0.31"; "<$0.01" when nothing is left of a non-zero exact amount."""
    if amount.minor == 0 and exact_minor:
        return f"<{money(Money(amount.currency.step, amount.currency))}"
    return str(amount)


def money_data(amount: Money, exact_minor: Fraction | None = None) -> Markup:
    """The amount as people read it, carrying its exact value for scripts."""
    shown = money(amount, exact_minor)
    return Markup('<data value="{}">{}</data>').format(f"{amount.major:f}", shown)


def unit_price(amount: Decimal, currency: Currency) -> str:
    """A price per unit, never rounded: "$0.02", "$0.00000088"."""
    return f"{currency.symbol}{_at_least(plain(amount), currency.exponent)}"


def work(exact_minor: Fraction, currency: Currency) -> str:
    """An amount before its rounding: "$5.939", or "≈ $14.902778" when the decimals never end."""
    major = exact_minor / currency.minor_per_major
    digits = _exact(abs(major)) or _rounded(abs(major), _APPROXIMATE_DECIMALS)
    amount = _signed(major, f"{currency.symbol}{_at_least(digits, currency.exponent)}")
    return amount if _exact(major) else f"≈{NBSP}{amount}"


def quantity(number: Decimal | Fraction, unit: str | None = None) -> str:
    """An exact count: "412.6 GB", "1,204,000". Fractions without end are marked "≈"."""
    if digits := _exact(Fraction(number)):
        return _counted(digits, unit)
    return f"≈{NBSP}{_counted(_rounded(number, _APPROXIMATE_DECIMALS), unit)}"


def short_quantity(number: Decimal, unit: str | None = None) -> str:
    """A count where room is short: at most three decimals."""
    digits = _rounded(number, _TABLE_DECIMALS)
    return f"<{_counted('0.001', unit)}" if digits == "0" and number else _counted(digits, unit)


def share(part: int, whole: int) -> str:
    """ "12.4 %" of a total; "<0.1 %" for a little, "–" when the total is nothing."""
    if whole <= 0:
        return "–"
    permille = round(Fraction(part * 1000, whole))
    if part and not permille:
        return f"<0.1{NBSP}%"
    return f"{permille // 10}.{permille % 10}{NBSP}%"


def clock(instant: datetime, now: datetime | None = None) -> Markup:
    """The time of day; with the date when that is another day than `now`'s."""
    is_other_day = now is not None and instant.date() != now.date()
    text = f"{_day(instant)}, {instant:%H:%M:%S}" if is_other_day else f"{instant:%H:%M:%S}"
    return time_element(instant, f"{text} UTC")


def day(instant: datetime) -> Markup:
    """A date: "1 Dec 2026"."""
    return time_element(instant, f"{_day(instant)} {instant.year}")


def moment(instant: datetime) -> Markup:
    """A date with the time to the minute."""
    return time_element(instant, f"{_day(instant)} {instant.year}, {instant:%H:%M} UTC")


def time_element(instant: datetime, text: str) -> Markup:
    """What people read, carrying the instant for machines."""
    stamp = f"{instant:%Y-%m-%dT%H:%M:%SZ}"
    return Markup('<time datetime="{}">{}</time>').format(stamp, text)


def period(span: Period) -> str:
    """ "1–30 Nov 2026 (UTC)": its days, and whose days they are."""
    return f"{days(span)} (UTC)"


def days(span: Period) -> str:
    """ "1–30 Nov 2026", "15 Nov – 14 Dec 2026": its first and its last day."""
    last = span.end - timedelta(microseconds=1)
    if (span.start.year, span.start.month) == (last.year, last.month):
        is_one_day = span.start.day == last.day
        first = str(last.day) if is_one_day else f"{span.start.day}–{last.day}"
        return f"{first} {last:%b %Y}"
    first_year = "" if span.start.year == last.year else f" {span.start.year}"
    return f"{_day(span.start)}{first_year} – {_day(last)} {last.year}"


def so_far(span: Period) -> str:
    """How the open period is spoken of: "in November", or "since 15 November"."""
    if span.start.day == 1:
        return f"in {span.start:%B}"
    return f"since {span.start.day} {span.start:%B}"


def last_day(span: Period) -> str:
    """The day a period is over by: "30 November"."""
    last = span.end - timedelta(microseconds=1)
    return f"{last.day} {last:%B}"


def ordinal_day(instant: datetime) -> str:
    """The day of the month in a sentence: "3rd", "11th"."""
    endings = {1: "st", 2: "nd", 3: "rd"}
    number = instant.day
    return f"{number}{'th' if 10 < number < 14 else endings.get(number % 10, 'th')}"


def age(span: timedelta) -> str:
    """How long something has waited: "40 s", "6 min", "3 h", "2 days"."""
    seconds = int(span.total_seconds())
    if seconds < 120:
        return f"{max(seconds, 0)} s"
    if seconds < 120 * 60:
        return f"{seconds // 60} min"
    hours = seconds // 3600
    return f"{hours} h" if hours < 48 else f"{hours // 24} days"


def _day(instant: datetime) -> str:
    return f"{instant.day} {instant:%b}"


def _signed(number: int | Fraction, text: str) -> str:
    return f"{MINUS}{text}" if number < 0 else text


def _at_least(text: str, decimals: int) -> str:
    whole, _, digits = text.partition(".")
    digits = digits.ljust(decimals, "0")
    return f"{int(whole):,}.{digits}" if digits else f"{int(whole):,}"


def _counted(text: str, unit: str | None) -> str:
    grouped = _at_least(text, 0)
    return f"{grouped}{NBSP}{unit}" if unit else grouped


def _exact(number: Fraction) -> str | None:
    """All its decimals, or None when they do not end within what we keep."""
    digits = plain(number)
    return digits if Fraction(digits) == number else None


def _rounded(number: Decimal | Fraction, decimals: int) -> str:
    return plain(Fraction(round(Fraction(number) * 10**decimals), 10**decimals))
