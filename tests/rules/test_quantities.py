from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.rules.quantities import InvalidValue, exact_decimal, plain


@pytest.mark.parametrize(
    "text",
    [
        *("NaN", "Infinity", "-Infinity", "1e400", "1e-13", "0.1234567890123", "1" * 16, "1e15"),
        *("", " 1", "1 ", "+1", "0x10", "1_000", "١", "1.", ".5", "1e99999999999", "9" * 100),
    ],
)
def test_what_cannot_be_counted_exactly_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue) as refusal:
        exact_decimal(text, field="data.gb")

    assert refusal.value.code == "INVALID_VALUE"
    assert refusal.value.field == "data.gb"


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", "0"),
        ("-0.0", "0"),
        ("1e3", "1000"),
        ("1.5E+2", "150"),
        ("25e-1", "2.5"),
        ("0.123456789012", "0.123456789012"),
        ("123456789012345.123456789012", "123456789012345.123456789012"),
        ("1.0000000000000000", "1"),
        ("0e400", "0"),
        ("9" * 15, "9" * 15),
    ],
)
def test_what_fits_is_kept_to_the_last_digit(text: str, number: str) -> None:
    assert exact_decimal(text, field="value") == Decimal(number)


@given(st.decimals(min_value=0, max_value=10**15 - 1, places=12))
def test_plain_digits_read_back_as_the_same_number(number: Decimal) -> None:
    text = plain(number)

    assert "E" not in text
    assert exact_decimal(text, field="value") == number


def test_plain_shows_no_exponent_and_no_trailing_zeros() -> None:
    assert plain(Decimal("1E+2")) == "100"
    assert plain(Decimal("412.600")) == "412.6"
    assert plain(Fraction(1, 3)) == "0.333333333333"
    assert plain(Decimal("-0.0")) == "0"
