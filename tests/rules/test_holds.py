import pytest

from billing.rules.holds import is_anomaly, is_over_limit
from billing.rules.money import Currency, Money


def usd(major: int) -> Money:
    return Money(major * 100, Currency.USD)


@pytest.mark.parametrize(
    ("pre_tax", "before", "is_held"),
    [
        (301, [100, 100], True),
        (300, [100, 100], False),
        (301, [100, 101, 100], False),
        (140, [40, 40], False),
        (141, [40, 40], True),
        (130, [10, 10, 1], True),
        (9_999, [10], False),
        (9_999, [], False),
        (301, [100, 100, 100, 9_999], True),
        (100, [0, 0], False),
        (101, [0, 0], True),
    ],
)
def test_far_more_than_before_is_looked_at(pre_tax: int, before: list[int], is_held: bool) -> None:
    assert is_anomaly(usd(pre_tax), [usd(one) for one in before]) is is_held


@pytest.mark.parametrize(
    ("pre_tax", "before", "is_held"),
    [(50_001, 0, True), (50_000, 0, False), (50_001, 1, True), (50_001, 2, False)],
)
def test_a_new_organization_has_a_limit(pre_tax: int, before: int, is_held: bool) -> None:
    assert is_over_limit(usd(pre_tax), before) is is_held


def test_limits_are_in_major_units_of_the_currency() -> None:
    assert is_over_limit(Money(50_001, Currency.JPY), 0)
    assert not is_over_limit(Money(50_001, Currency.USD), 0)
