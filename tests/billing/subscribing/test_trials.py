"""A trial waives fees, and only fees."""

from datetime import UTC, datetime, timedelta

import pytest

from billing.errors import Invalid
from billing.rules.lines import LineKind
from tests.billing.subscribing.conftest import (
    DECEMBER,
    JANUARY,
    NOVEMBER,
    NOVEMBER_16,
    OCTOBER,
    Customer,
)

DECEMBER_16 = datetime(2026, 12, 16, 12, tzinfo=UTC)


async def test_nothing_is_invoiced_at_once_and_usage_is_billed(customer: Customer) -> None:
    started = await customer.start("pro", trial_ends_at=OCTOBER + timedelta(days=10, minutes=1))
    await customer.use(150, OCTOBER + timedelta(days=1))
    at_once = await customer.invoices()
    await customer.on(NOVEMBER + timedelta(days=2))

    assert started.trial_ends_at == OCTOBER + timedelta(days=10, hours=1)
    assert at_once == []
    october = await customer.invoice_of(OCTOBER)
    assert [(x.kind, x.amount_minor) for x in october.lines] == [
        (LineKind.USAGE, 500),
        (LineKind.FEE, 1961),  # 503 of 744 hours
        (LineKind.FEE_IN_ADVANCE, 2900),
    ]


async def test_a_trial_over_the_ends_of_periods_is_billed_in_the_one_it_ends_in(
    customer: Customer,
) -> None:
    await customer.start("pro", trial_ends_at=DECEMBER_16)
    for instant in (NOVEMBER, DECEMBER, JANUARY):
        await customer.on(instant + timedelta(days=2))

    found = [
        [(x.kind, x.amount_minor) for x in invoice.lines] for invoice in await customer.invoices()
    ]
    assert found == [[], [], [(LineKind.FEE, 1450), (LineKind.FEE_IN_ADVANCE, 2900)]]


async def test_who_leaves_within_the_trial_pays_no_fee(customer: Customer) -> None:
    await customer.start("pro", trial_ends_at=DECEMBER_16)
    await customer.on(NOVEMBER + timedelta(days=2))
    await customer.cancel("pro", NOVEMBER_16)
    await customer.on(DECEMBER + timedelta(days=2))

    assert await customer.billed() == 0


async def test_a_trial_goes_on_over_a_change_of_plan(customer: Customer) -> None:
    await customer.start("pro", trial_ends_at=NOVEMBER_16)
    await customer.on(NOVEMBER + timedelta(days=2))
    new = await customer.change("pro", "max")
    await customer.on(DECEMBER + timedelta(days=2))

    assert new.trial_ends_at == NOVEMBER_16
    november = await customer.invoice_of(NOVEMBER)
    assert [(x.kind, x.amount_minor) for x in november.lines] == [
        (LineKind.FEE, 2450),
        (LineKind.FEE_IN_ADVANCE, 4900),
    ]


async def test_a_trial_ends_after_its_start(customer: Customer) -> None:
    with pytest.raises(Invalid) as refusal:
        await customer.start("pro", trial_ends_at=OCTOBER)

    assert refusal.value.code == "TRIAL_BEFORE_START"
    assert await customer.invoices() == []
