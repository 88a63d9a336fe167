"""An organization's own prices: versions of its own, from whole hours on."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from billing.errors import BillingError
from billing.models import PriceOverride
from billing.rules.lines import LineKind
from tests.billing.price_books import BOOK, refused
from tests.billing.subscribing.conftest import DECEMBER, NOVEMBER, NOVEMBER_16, Customer

HALF = {"model": "PER_UNIT", "unit_amount": "0.05", "included": "100"}
CHEAP_FEE = {"model": "FLAT", "amount": "19.00", "timing": "ADVANCE"}


async def usage_lines(customer: Customer) -> list[tuple[str, int]]:
    await customer.on(DECEMBER + timedelta(days=2))
    november = await customer.invoice_of(NOVEMBER)
    return [(x.key, x.amount_minor) for x in november.lines if x.kind is LineKind.USAGE]


async def test_an_override_splits_the_period(on_pro: Customer) -> None:
    await on_pro.use(150, NOVEMBER + timedelta(days=1))
    await on_pro.override("pro", "egress", HALF, NOVEMBER_16 - timedelta(minutes=30))
    await on_pro.use(150, NOVEMBER_16 + timedelta(days=1))

    assert await usage_lines(on_pro) == [
        ("pro/egress/USD@1", 500),
        ("pro/egress/USD@acme-1", 750),
    ]


async def test_an_override_ends_and_the_plans_own_price_holds_again(on_pro: Customer) -> None:
    await on_pro.override("pro", "egress", HALF, NOVEMBER)
    await on_pro.use(150, NOVEMBER + timedelta(days=1))
    await on_pro.override("pro", "egress", None, NOVEMBER_16)
    await on_pro.use(150, NOVEMBER_16 + timedelta(days=1))

    assert await usage_lines(on_pro) == [
        ("pro/egress/USD@acme-1", 250),
        ("pro/egress/USD@1", 1500),
    ]


async def test_a_fee_in_advance_is_another_from_the_next_period_on(on_pro: Customer) -> None:
    with pytest.raises(BillingError) as refusal:
        await on_pro.override("pro", "base", CHEAP_FEE, NOVEMBER_16)
    await on_pro.override("pro", "base", CHEAP_FEE, DECEMBER)
    await on_pro.on(DECEMBER + timedelta(days=2))

    assert refusal.value.code == "PAID_PERIOD"
    november = await on_pro.invoice_of(NOVEMBER)
    assert [(x.key, x.amount_minor) for x in november.lines] == [("pro/base/USD@acme-1", 1900)]


async def test_a_first_fee_is_invoiced_at_the_organizations_own_price(on_pro: Customer) -> None:
    cheap = CHEAP_FEE | {"amount": "6.00"}
    await on_pro.override("support", "base", cheap, NOVEMBER)
    on_pro.clock.at = NOVEMBER_16
    await on_pro.start("support")

    assert (await on_pro.invoices())[-1].total_minor == 300


async def test_the_same_override_again_is_one(on_pro: Customer) -> None:
    await on_pro.override("pro", "egress", HALF, NOVEMBER_16)
    await on_pro.override("pro", "egress", HALF | {"unit_amount": "0.050"}, NOVEMBER_16)
    with pytest.raises(BillingError) as refusal:
        await on_pro.override("pro", "egress", HALF | {"unit_amount": "0.04"}, NOVEMBER_16)
    await on_pro.override("pro", "egress", HALF | {"unit_amount": "0.04"}, DECEMBER)

    assert refusal.value.code == "VERSION_EDITED"
    async with on_pro.runtime.sessions() as session:
        numbers = await session.scalars(select(PriceOverride.number).order_by("number"))
    assert list(numbers) == [1, 2]


@pytest.mark.parametrize(
    ("price", "terms", "at", "code", "field"),
    [
        ("egres", HALF, None, "PRICE_NOT_FOUND", "price"),
        ("egress", HALF, NOVEMBER - timedelta(hours=1), "CHANGE_IN_CLOSED_PERIOD", "effectiveFrom"),
        ("egress", None, None, "NOT_OVERRIDDEN", "price"),
        ("egress", {"model": "MAGIC"}, None, "UNKNOWN_MODEL", "terms.model"),
        ("egress", {"model": "PER_UNIT"}, None, "MISSING_FIELD", "terms.unit_amount"),
        ("egress", HALF | {"tiers": []}, None, "UNKNOWN_FIELD", "terms.tiers"),
        ("egress", HALF | {"effective_from": "x"}, None, "UNKNOWN_FIELD", "terms.effective_from"),
        ("egress", HALF | {"unit_amount": "cheap"}, None, "INVALID_VALUE", "terms.unit_amount"),
        ("egress", {"model": "VOLUME", "tiers": []}, None, "INVALID_PRICE", "terms.tiers"),
        ("egress", CHEAP_FEE, None, "FEE_WITH_METER", "terms.model"),
        ("base", HALF, None, "MISSING_METER", "terms.model"),
        ("base", CHEAP_FEE | {"timing": "ARREARS"}, DECEMBER, "TIMING_FIXED", "terms.timing"),
    ],
)
async def test_what_cannot_be_overridden(
    on_pro: Customer,
    price: str,
    terms: dict[str, Any] | None,
    at: datetime | None,
    code: str,
    field: str,
) -> None:
    with pytest.raises(BillingError) as refusal:
        await on_pro.override("pro", price, terms, at)

    assert (refusal.value.code, refusal.value.field) == (code, field)
    async with on_pro.runtime.sessions() as session:
        assert (await session.scalars(select(PriceOverride))).all() == []


async def test_a_price_book_still_sees_who_has_paid_after_they_cancel(on_pro: Customer) -> None:
    await on_pro.cancel("pro")
    fee = "{effective_from: 2025-01-01, model: FLAT, amount: 29.00, timing: ADVANCE}"
    dearer = f"{fee}\n          - {fee.replace('2025-01-01', '2026-11-20').replace('29', '39')}"
    book = BOOK.replace("slug: fee\n", "slug: base\n").replace(fee, dearer)

    codes = {code for path, code in await refused(on_pro.runtime.sessions, book) if "[1]" in path}
    assert "PAID_PERIOD" in codes
