from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.errors import Invalid
from billing.rules.money import Currency, CurrencyMismatch, Money, total_of

currencies = st.sampled_from(Currency)
exact_amounts = st.fractions(min_value=-(10**9), max_value=10**9)


@pytest.mark.parametrize(
    ("exact", "currency", "rounded"),
    [
        (Fraction("593.9"), Currency.USD, 594),
        (Fraction("0.5"), Currency.USD, 1),
        (Fraction("-0.5"), Currency.USD, -1),
        (Fraction("0.4999"), Currency.USD, 0),
        (Fraction("4.5"), Currency.JPY, 5),
        (Fraction("1234"), Currency.BHD, 1230),
        (Fraction("1235"), Currency.BHD, 1240),
        (Fraction("-1235"), Currency.BHD, -1240),
    ],
)
def test_rounding_is_half_away_from_zero_to_the_currencys_step(
    exact: Fraction, currency: Currency, rounded: int
) -> None:
    assert Money.rounded(exact, currency).minor == rounded


@given(exact=exact_amounts, currency=currencies)
def test_rounding_moves_at_most_half_a_step_and_is_symmetric(
    exact: Fraction, currency: Currency
) -> None:
    money = Money.rounded(exact, currency)

    assert abs(money.minor - exact) * 2 <= currency.step
    assert money.minor % currency.step == 0
    assert Money.rounded(-exact, currency) == -money


@given(minor=st.integers(-(10**15), 10**15), currency=currencies)
def test_major_units_and_back_lose_nothing(minor: int, currency: Currency) -> None:
    money = Money(minor * currency.step, currency)

    assert Money.from_major(money.major, currency) == money


@pytest.mark.parametrize(
    ("major", "currency"), [("1.005", Currency.USD), ("1.5", Currency.JPY), ("1.001", Currency.BHD)]
)
def test_an_amount_finer_than_the_currency_is_refused(major: str, currency: Currency) -> None:
    with pytest.raises(Invalid, match="finer than") as refusal:
        Money.from_major(Decimal(major), currency)

    assert refusal.value.code == "INVALID_AMOUNT"


def test_currencies_never_mix() -> None:
    with pytest.raises(CurrencyMismatch):
        total_of([Money(1, Currency.USD), Money(1, Currency.EUR)], Currency.USD)
