from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest

from billing.errors import IdempotencyConflict, Invalid
from billing.estimates import current_estimate, daily_costs
from billing.models import Organization
from billing.one_offs import NewOneOff, add_one_off
from billing.rules.aggregation import Aggregation
from billing.rules.lines import LineKind
from billing.rules.money import Currency
from billing.runtime import Runtime, Sessions
from tests.factories import (
    DECEMBER,
    EGRESS,
    a_meter,
    a_plan,
    a_price,
    a_version,
    an_organization,
    counted,
    subscribed,
)
from tests.world import NOVEMBER_10

FEE = {"model": "FLAT", "amount": "29.00", "timing": "ADVANCE"}


@pytest.fixture
async def acme(sessions: Sessions) -> Organization:
    """Worked example 4, spread over apps, regions and days, with a fee and a one-off item."""
    async with sessions.begin() as session:
        org = await an_organization(session, key="acme")
        meter = await a_meter(session)
        plan = await a_plan(session)
        await a_price(session, plan, EGRESS, meter=meter, slug="egress")
        await a_price(session, plan, FEE, slug="base")
        await subscribed(session, org, plan, free_until=DECEMBER)
        for day, app, quantity in ((2, "api", "301.2"), (3, "worker", "98"), (9, "old", "13.4")):
            at = datetime(2026, 11, day, 12, tzinfo=UTC)
            await counted(session, org.id, meter, quantity, at, app=app, region="fra")
        item = NewOneOff("Data import", Decimal("10.00"), Currency.USD, "import-1")
        await add_one_off(session, org, item, actor="test", now=NOVEMBER_10)
    return org


async def test_the_estimate_is_the_invoice_so_far(sessions: Sessions, acme: Organization) -> None:
    async with sessions() as session:
        estimate = await current_estimate(session, acme, NOVEMBER_10)

    assert [(x.kind, x.key, str(x.amount.major)) for x in estimate.lines] == [
        (LineKind.USAGE, "pro/egress/USD@1", "5.94"),
        (LineKind.ONE_OFF, "one-off/import-1", "10.00"),
        (LineKind.FEE_IN_ADVANCE, "pro/base/USD@1", "29.00"),
    ]
    assert estimate.accrued.major == Decimal("15.94")
    assert estimate.in_advance.major == Decimal("29.00")
    assert estimate.total.major == Decimal("44.94")


async def test_cost_by_dimension_sums_to_what_has_accrued(
    sessions: Sessions, acme: Organization
) -> None:
    async with sessions() as session:
        estimate = await current_estimate(session, acme, NOVEMBER_10)

    for dimension in ("app", "region", "resource", "product"):
        shares = estimate.by_dimension(dimension)
        assert sum(share.amount.minor for share in shares) == estimate.accrued.minor
    assert [(x.value, str(x.amount.major)) for x in estimate.by_dimension("app")] == [
        (None, "10.00"),
        ("api", "4.34"),
        ("worker", "1.41"),
        ("old", "0.19"),
    ]
    assert [x.value for x in estimate.by_dimension("product")] == ["One-off items", "egress gb"]


async def test_days_add_up_to_the_usage(sessions: Sessions, acme: Organization) -> None:
    async with sessions() as session:
        days = await daily_costs(session, acme, NOVEMBER_10)

    assert len(days) == 10
    assert sum(day.exact_minor for day in days) == Decimal("593.9")
    assert {day.day.day for day in days if day.exact_minor} == {2, 3, 9}


async def test_the_digest_knows_nothing_of_the_clock(
    sessions: Sessions, acme: Organization
) -> None:
    async with sessions() as session:
        now = await current_estimate(session, acme, NOVEMBER_10)
    async with sessions() as session:
        later = await current_estimate(session, acme, datetime(2026, 11, 20, tzinfo=UTC))

    assert now.digest == later.digest


async def test_usage_of_another_month_or_organization_is_not_counted(
    sessions: Sessions, acme: Organization
) -> None:
    async with sessions.begin() as session:
        other = await an_organization(session)
        meter = await a_meter(session, "requests")
        for month in (10, 12):
            at = datetime(2026, month, 1, tzinfo=UTC)
            await counted(session, acme.id, meter, 1000, at)
        await counted(session, other.id, meter, 1000, NOVEMBER_10)
    async with sessions() as session:
        estimate = await current_estimate(session, acme, NOVEMBER_10)

    assert estimate.accrued.major == Decimal("15.94")
    assert estimate.unpriced == ()


async def test_usage_without_a_price_is_shown_as_unpriced(
    sessions: Sessions, acme: Organization
) -> None:
    async with sessions.begin() as session:
        meter = await a_meter(session, "gpu_hours")
        await counted(session, acme.id, meter, "2.5", NOVEMBER_10)
    async with sessions() as session:
        estimate = await current_estimate(session, acme, NOVEMBER_10)

    assert [(x.meter, x.quantity) for x in estimate.unpriced] == [("gpu_hours", Fraction(5, 2))]
    assert estimate.accrued.major == Decimal("15.94")


async def test_a_new_price_holds_from_its_hour_on_and_shares_the_ladder(sessions: Sessions) -> None:
    async with sessions.begin() as session:
        org = await an_organization(session)
        meter = await a_meter(session)
        plan = await a_plan(session)
        price = await a_price(session, plan, {"model": "PER_UNIT", "unit_amount": "1"}, meter=meter)
        change = datetime(2026, 11, 6, tzinfo=UTC)
        await a_version(session, price, {"model": "PER_UNIT", "unit_amount": "2"}, change)
        await subscribed(session, org, plan)
        await counted(session, org.id, meter, 3, datetime(2026, 11, 5, 23, 59, tzinfo=UTC))
        await counted(session, org.id, meter, 4, change)
    async with sessions() as session:
        estimate = await current_estimate(session, org, NOVEMBER_10)

    assert [(x.segment, str(x.amount.major)) for x in estimate.lines] == [(0, "3.00"), (1, "8.00")]


async def test_worked_example_12_a_line_over_three_equal_apps(sessions: Sessions) -> None:
    async with sessions.begin() as session:
        org = await an_organization(session)
        meter = await a_meter(session)
        plan = await a_plan(session)
        await a_price(session, plan, {"model": "PER_UNIT", "unit_amount": "0.10"}, meter=meter)
        await subscribed(session, org, plan)
        for app in ("a", "b", "c"):
            thirds = Decimal("33.333333333333") if app != "c" else Decimal("33.333333333334")
            await counted(session, org.id, meter, thirds, NOVEMBER_10, app=app)
    async with sessions() as session:
        estimate = await current_estimate(session, org, NOVEMBER_10)

    shares = [str(share.amount.major) for share in estimate.by_dimension("app")]
    assert shares == ["3.34", "3.33", "3.33"]


async def test_worked_example_13_yen_have_no_decimals(sessions: Sessions) -> None:
    async with sessions.begin() as session:
        org = await an_organization(session, currency=Currency.JPY)
        meter = await a_meter(session, aggregation=Aggregation.SUM)
        plan = await a_plan(session)
        terms = {"model": "PER_UNIT", "unit_amount": "1.5"}
        await a_price(session, plan, terms, meter=meter, currency=Currency.JPY)
        await subscribed(session, org, plan)
        await counted(session, org.id, meter, 3, NOVEMBER_10)
    async with sessions() as session:
        estimate = await current_estimate(session, org, NOVEMBER_10)

    assert estimate.accrued.major == Decimal(5)
    assert estimate.total.minor == 0, "five yen are below the smallest charge: carried"


async def test_a_one_off_item_is_sold_once_per_key(runtime: Runtime, acme: Organization) -> None:
    item = NewOneOff("Data import", Decimal("10.00"), Currency.USD, "import-1")
    async with runtime.sessions.begin() as session:
        await add_one_off(session, acme, item, actor="test", now=NOVEMBER_10)
    dearer = NewOneOff("Data import", Decimal("11.00"), Currency.USD, "import-1")
    async with runtime.sessions.begin() as session:
        with pytest.raises(IdempotencyConflict, match="used for another item"):
            await add_one_off(session, acme, dearer, actor="test", now=NOVEMBER_10)
    async with runtime.sessions() as session:
        estimate = await current_estimate(session, acme, NOVEMBER_10)

    assert estimate.accrued.major == Decimal("15.94")


@pytest.mark.parametrize(
    ("at", "code"),
    [
        (datetime(1, 1, 1, tzinfo=UTC), "TIME_TOO_OLD"),
        (datetime(2025, 11, 1, tzinfo=UTC), "TIME_TOO_OLD"),
        (NOVEMBER_10 + timedelta(hours=1), "TIME_IN_FUTURE"),
    ],
)
async def test_an_item_of_another_time_is_refused_before_it_is_stored(
    sessions: Sessions, acme: Organization, at: datetime, code: str
) -> None:
    item = NewOneOff("Slip", Decimal("10.00"), Currency.USD, "slip", at)
    async with sessions.begin() as session:
        with pytest.raises(Invalid) as refusal:
            await add_one_off(session, acme, item, actor="test", now=NOVEMBER_10)

    assert (refusal.value.code, refusal.value.field) == (code, "incurredAt")
