"""What a change would do to the money: exactly what it does, and nothing is left of it."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from billing.models import Base, Organization
from billing.outages import ChangedMeanwhile
from billing.subscribing import NewOverride
from tests.billing.subscribing.conftest import (
    DECEMBER,
    JANUARY,
    NOVEMBER,
    NOVEMBER_16,
    Act,
    Customer,
)

HALF = {"model": "PER_UNIT", "unit_amount": "0.05", "included": "100"}
ACTS = {
    "start": (Act("start_subscription", "support", NOVEMBER_16), 1500),
    "start with a trial": (
        Act("start_subscription", "support", NOVEMBER_16, trial_ends_at=JANUARY),
        0,
    ),
    "change": (Act("change_plan", "pro", "max", at=NOVEMBER_16), 2000),
    "change with the period": (Act("change_plan", "pro", "max", at=DECEMBER), 2000),
    "cancel": (Act("cancel_subscription", "pro", at=NOVEMBER_16), -3850),
    "cancel with the period": (Act("cancel_subscription", "pro", at=None), -2900),
    "override": (
        Act("override_price", NewOverride("pro", "egress", HALF, "agreed", NOVEMBER)),
        -500,
    ),
    "close": (Act("close_organization", NOVEMBER_16), -3850),
}


async def everything(customer: Customer) -> dict[str, list[str]]:
    """Every row of every table, as text."""
    async with customer.runtime.sessions() as session:
        return {
            table.name: sorted(await session.scalars(text(f"SELECT t::text FROM {table.name} t")))
            for table in Base.metadata.sorted_tables
        }


@pytest.mark.parametrize("name", ACTS)
async def test_a_preview_leaves_nothing_and_is_what_happens(on_pro: Customer, name: str) -> None:
    act, difference = ACTS[name]
    await on_pro.use(200, NOVEMBER + timedelta(days=3))
    on_pro.clock.at = NOVEMBER_16
    before = await everything(on_pro)
    tried = await on_pro.effect(act)
    after = await everything(on_pro)
    done = await on_pro.effect(act, is_kept=True)

    assert tried.difference.minor == difference
    at_once = tried.off_cycle.minor if tried.off_cycle else 0
    assert sum(x.amount.minor for x in tried.lines) + at_once == difference
    assert after == before != await everything(on_pro)
    assert (tried.before, tried.after, tried.off_cycle) == (done.before, done.after, done.off_cycle)
    assert await on_pro.billed() == 2 * 2900 + at_once
    await on_pro.on(DECEMBER + timedelta(days=2))
    november = await on_pro.invoice_of(NOVEMBER)
    assert november.digest == tried.after[0].digest
    assert november.total == tried.total_after


async def test_a_change_during_the_grace_is_felt_by_two_invoices(on_pro: Customer) -> None:
    await on_pro.on(DECEMBER + timedelta(hours=10))
    effect = await on_pro.effect(
        Act("cancel_subscription", "pro", at=DECEMBER + timedelta(days=15, hours=12))
    )

    assert [draft.period.start for draft in effect.before] == [NOVEMBER, DECEMBER]
    assert [draft.total.minor for draft in effect.before] == [2900, 2900]
    assert [draft.total.minor for draft in effect.after] == [1450, 0]
    assert effect.difference.minor == -4350


async def test_a_change_that_was_overtaken_is_not_made(on_pro: Customer) -> None:
    change = Act("change_plan", "pro", "max", at=NOVEMBER_16)

    async def overtaken(session: AsyncSession, org: Organization, now: datetime) -> object:
        await on_pro.start("support")  # commits after the snapshot was taken
        return await change(session, org, now)

    with pytest.raises(ChangedMeanwhile):
        await on_pro.effect(overtaken, is_kept=True)
    tried = await on_pro.effect(change)

    assert [(x.line.key, x.amount.minor) for x in tried.lines] == [
        ("max/base/USD@1", 2450),
        ("pro/base/USD@1", -1450),
        ("max/base/USD@1", 4900),
        ("pro/base/USD@1", -2900),
    ]
