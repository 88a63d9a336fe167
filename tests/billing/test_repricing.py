"""What other prices, or another plan, would have brought: nothing is written."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from billing.errors import BillingError
from billing.models import Invoice, Meter, Organization, Plan, Price, Subscription
from billing.price_book import read_price_book
from billing.repricing import OrganizationEffect, on_plan, reprice
from billing.runtime import Runtime
from billing.subscribing import NewOverride, override_price
from tests.explained import AFTER_GRACE, an_explained_acme, close, reread, send
from tests.factories import a_meter, a_plan, a_price, a_version, an_organization, subscribed
from tests.world import NOVEMBER_10, Clock

BOOK = """
meters:
  - {{slug: egress_gb, name: Egress, unit: GB, event_type: egress_gb, value: value,
     aggregation: SUM, dimensions: [app, region]}}
plans:
  - slug: pro
    name: Pro
    prices:
      - slug: egress
        name: Egress
        currency: USD
        meter: egress_gb
        versions:
          - {{effective_from: 2025-01-01, model: PER_UNIT, unit_amount: 0.10}}
          - {{effective_from: 2027-06-01, {terms}}}
{more}
"""
A_FEE = """
      - slug: support
        name: Support
        currency: USD
        versions: [{effective_from: 2027-06-01, model: FLAT, amount: 5.00, timing: ARREARS}]
"""


@pytest.fixture
async def org(runtime: Runtime, clock: Clock) -> Organization:
    """November: 300 GB for 30.00, 2 GB in Sydney for 2.00, a fee of 29.00."""
    org = await an_explained_acme(runtime)
    await send(runtime, "a", "300", NOVEMBER_10)
    await send(runtime, "b", "2", NOVEMBER_10, region="syd")
    return org


async def repriced(runtime: Runtime, terms: str, more: str = "") -> list[OrganizationEffect]:
    book = read_price_book(BOOK.format(terms=terms, more=more))
    return [one async for one in reprice(runtime, book, periods=3)]


async def moved(runtime: Runtime, plan: str, **options: Any) -> OrganizationEffect:
    org = await reread(runtime)
    async with runtime.sessions() as session:
        return await on_plan(session, org, plan, await runtime.now(), periods=1, **options)


def figures(effect: OrganizationEffect) -> tuple[str, str, str]:
    amounts = (effect.before, effect.after, effect.difference)
    return tuple(f"{x.major:f}" for x in amounts)  # type: ignore[return-value]


async def test_tiers_instead_of_one_price(
    runtime: Runtime, clock: Clock, org: Organization
) -> None:
    """100 x 0.10 + 200 x 0.05 instead of 300 x 0.10; Sydney and the fee stay as they are."""
    await close(runtime, clock, AFTER_GRACE)
    tiers = "model: GRADUATED, tiers: [{up_to: 100, unit_amount: 0.10}, {unit_amount: 0.05}]"

    [effect] = await repriced(runtime, tiers)

    assert figures(effect) == ("61.00", "51.00", "-10.00")
    [november] = effect.effects
    assert sorted((x.key, x.amount.minor) for x in november.lines) == [
        ("pro/base/USD@1", 2900),
        ("pro/egress/USD@0", 2000),
        ("pro/sydney/USD@1", 200),
    ]


async def test_the_same_prices_make_no_difference(
    runtime: Runtime, clock: Clock, org: Organization
) -> None:
    await close(runtime, clock, AFTER_GRACE)

    [effect] = await repriced(runtime, "model: PER_UNIT, unit_amount: 0.10")

    assert figures(effect) == ("61.00", "61.00", "0.00")
    assert figures(await moved(runtime, "pro")) == ("61.00", "61.00", "0.00")


async def test_what_the_book_lacks_keeps_its_versions(
    runtime: Runtime, clock: Clock, org: Organization
) -> None:
    """Sydney cost 1.00 until the 16th, and costs 3.00 since."""
    async with runtime.sessions.begin() as session:
        sydney = (await session.scalars(select(Price).where(Price.slug == "sydney"))).one()
        dearer = {"model": "PER_UNIT", "unit_amount": "3"}
        await a_version(session, sydney, dearer, datetime(2026, 11, 16, tzinfo=UTC))
    await close(runtime, clock, AFTER_GRACE)

    [effect] = await repriced(runtime, "model: PER_UNIT, unit_amount: 0.10")

    assert figures(effect) == ("61.00", "61.00", "0.00")


async def test_a_price_that_is_new_in_the_book_counts(
    runtime: Runtime, clock: Clock, org: Organization
) -> None:
    await close(runtime, clock, AFTER_GRACE)

    [effect] = await repriced(runtime, "model: PER_UNIT, unit_amount: 0.20", A_FEE)

    assert figures(effect) == ("61.00", "96.00", "35.00")


async def test_prices_of_ones_own_stay(runtime: Runtime, clock: Clock, org: Organization) -> None:
    """From an hour later on acme pays 0.01, whatever the book says."""
    clock.advance(timedelta(hours=1))
    async with runtime.sessions.begin() as session:
        terms = {"model": "PER_UNIT", "unit_amount": "0.01"}
        override = NewOverride("pro", "egress", terms, "a deal")
        await override_price(session, org, override, actor="test", now=clock.at)
    clock.advance(timedelta(days=5))
    await send(runtime, "c", "100", clock.at)
    await close(runtime, clock, AFTER_GRACE)

    [effect] = await repriced(runtime, "model: PER_UNIT, unit_amount: 0.20")

    assert figures(effect) == ("62.00", "92.00", "30.00")


async def test_late_usage_counts_and_the_open_period_does_not(
    runtime: Runtime, clock: Clock, org: Organization
) -> None:
    await close(runtime, clock, AFTER_GRACE)
    await send(runtime, "late", "100", NOVEMBER_10)
    await send(runtime, "now", "999", clock.at)

    [effect] = await repriced(runtime, "model: PER_UNIT, unit_amount: 0.20")

    assert figures(effect) == ("71.00", "111.00", "40.00")


async def test_fees_of_the_other_plan_are_prorated(
    runtime: Runtime, clock: Clock, org: Organization
) -> None:
    """Of those who came on the 16th the other plan would have had half its fee."""
    async with runtime.sessions.begin() as session:
        plan = (await session.scalars(select(Plan))).one()
        globex = await an_organization(session, key="globex")
        await subscribed(session, globex, plan, since=datetime(2026, 11, 16, tzinfo=UTC))
        other = await a_plan(session, "other")
        fee = {"model": "FLAT", "amount": "60.00", "timing": "ADVANCE"}
        await a_price(session, other, fee, slug="base")
    await close(runtime, clock, AFTER_GRACE)

    async with runtime.sessions() as session:
        effect = await on_plan(session, globex, "other", clock.at, periods=1)

    assert figures(effect) == ("14.50", "30.00", "15.50")


async def an_addon(runtime: Runtime, org: Organization, *, since: datetime) -> None:
    """Requests by themselves, beside or after the plan."""
    async with runtime.sessions.begin() as session:
        requests = await a_meter(session, "requests")
        addon = await a_plan(session, "addon")
        per_request = {"model": "PER_UNIT", "unit_amount": "1"}
        await a_price(session, addon, per_request, meter=requests, slug="requests")
        await subscribed(session, org, addon, since=since)


async def a_bundle(runtime: Runtime) -> None:
    """A plan that prices requests too."""
    async with runtime.sessions.begin() as session:
        bundle = await a_plan(session, "bundle")
        meters: Sequence[Meter] = (await session.scalars(select(Meter))).all()
        for meter in meters:
            terms = {"model": "PER_UNIT", "unit_amount": "0.5"}
            await a_price(session, bundle, terms, meter=meter, slug=meter.slug)


async def test_of_several_plans_at_once_one_is_left(
    runtime: Runtime, clock: Clock, org: Organization
) -> None:
    await an_addon(runtime, org, since=NOVEMBER_10)
    await a_bundle(runtime)
    await close(runtime, clock, AFTER_GRACE)

    codes = []
    for plan, instead_of in (
        ("bundle", None),
        ("bundle", "pro"),
        ("addon", "pro"),
        ("bundle", "none"),
    ):
        with pytest.raises(BillingError) as refused:
            await moved(runtime, plan, instead_of=instead_of)
        codes.append(refused.value.code)

    assert codes == ["SEVERAL_PLANS", "METER_PRICED_TWICE", "ALREADY_ON_PLAN", "NOT_ON_PLAN"]
    effect = await moved(runtime, "pro", instead_of="pro")
    assert figures(effect) == ("61.00", "61.00", "0.00")


async def test_of_plans_one_after_the_other_all_are_left(
    runtime: Runtime, clock: Clock, org: Organization
) -> None:
    async with runtime.sessions.begin() as session:
        found = (await session.scalars(select(Subscription))).one()
        found.ends_at = NOVEMBER_10 + timedelta(hours=1)
    await an_addon(runtime, org, since=NOVEMBER_10 + timedelta(hours=1))
    await a_bundle(runtime)
    await close(runtime, clock, AFTER_GRACE)

    effect = await moved(runtime, "bundle")

    assert effect.after.minor == 15100, "302 GB at 0.50"


async def test_nothing_is_written(runtime: Runtime, clock: Clock, org: Organization) -> None:
    await close(runtime, clock, AFTER_GRACE)

    await repriced(runtime, "model: PER_UNIT, unit_amount: 9", A_FEE)
    await moved(runtime, "pro")

    async with runtime.sessions() as session:
        counts = [
            await session.scalar(select(func.count()).select_from(table))
            for table in (Plan, Price, Invoice)
        ]
    assert counts == [1, 3, 1]
