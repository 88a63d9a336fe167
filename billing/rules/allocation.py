"""Sharing an amount out so that the parts sum to it, to the minor unit."""

import math
from collections.abc import Sequence
from fractions import Fraction


def allocate(total_minor: int, weights: Sequence[Fraction], step: int = 1) -> list[int]:
    """Largest remainder: each part gets its floor, the rest goes to the largest fractions.

    Ties go to the earlier part, so 10.00 over three equal parts is 3.34, 3.33, 3.33. `step` is the
    currency's. Weights may not be negative; when all are zero the first part takes everything.
    """
    assert weights, "somebody must carry the amount"
    assert all(weight >= 0 for weight in weights), weights
    assert total_minor % step == 0, (total_minor, step)

    whole = sum(weights, start=Fraction(0))
    if not whole:
        return [total_minor, *[0] * (len(weights) - 1)]
    sign = -1 if total_minor < 0 else 1
    units = abs(total_minor) // step
    exact = [units * weight / whole for weight in weights]
    parts = [math.floor(part) for part in exact]
    by_remainder = sorted(range(len(exact)), key=lambda i: (parts[i] - exact[i], i))
    for i in by_remainder[: units - sum(parts)]:
        parts[i] += 1
    return [sign * step * part for part in parts]
