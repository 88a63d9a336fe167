from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from billing.rules.allocation import allocate


def test_worked_example_12_three_equal_apps() -> None:
    assert allocate(1000, [Fraction(1)] * 3) == [334, 333, 333]


def test_a_credit_is_shared_out_like_a_charge() -> None:
    assert allocate(-1000, [Fraction(1)] * 3) == [-334, -333, -333]


def test_without_any_weight_the_first_carries_it() -> None:
    assert allocate(7, [Fraction(0), Fraction(0)]) == [7, 0]


weights = st.lists(st.fractions(min_value=0, max_value=10**6), min_size=1, max_size=30)


@given(units=st.integers(-(10**9), 10**9), weights=weights, step=st.sampled_from([1, 10]))
def test_parts_sum_to_the_whole_and_none_is_off_by_a_step(
    units: int, weights: list[Fraction], step: int
) -> None:
    parts = allocate(units * step, weights, step)

    assert sum(parts) == units * step
    assert all(part % step == 0 for part in parts)
    whole = sum(weights)
    if whole:
        exact = [units * step * weight / whole for weight in weights]
        assert all(abs(part - x) < step for part, x in zip(parts, exact, strict=True))
