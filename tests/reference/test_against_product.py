"""The product against the reference: `python -m tests.reference` plays many more worlds."""

import pytest

from billing.runtime import Runtime
from tests.reference.adapter import compared

SEEDS = range(12)


@pytest.mark.parametrize("seed", SEEDS)
async def test_every_invoice_and_estimate_is_what_the_page_says(
    runtime: Runtime, seed: int
) -> None:
    assert await compared(runtime, seed) == []
