"""What is late under a maximum, and what an estimate of the past knows of corrections."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from billing.accounts import COMMAND_LINE
from billing.capping import set_cap
from billing.closing import close_due
from billing.coupons import NewCoupon, create_coupon
from billing.estimates import Estimate, current_estimate, estimate_as_of
from billing.models import Invoice, InvoiceLine, Organization
from billing.one_offs import NewOneOff, add_one_off
from billing.rules.lines import LineKind
from billing.rules.money import Currency
from billing.runtime import Runtime
from billing.usage import incoming_event, record_usage
from tests.factories import a_meter, a_plan, a_price, an_organization, subscribed
from tests.world import NOVEMBER_10, Clock

DOLLARS = {"model": "PER_UNIT", "unit_amount": "1"}
DECEMBER = datetime(2026, 12, 1, tzinfo=UTC)
JANUARY = datetime(2027, 1, 1, tzinfo=UTC)
FEBRUARY = datetime(2027, 2, 1, tzinfo=UTC)
GRACE = timedelta(hours=25)


@pytest.fixture
async def org(runtime: Runtime) -> Organization:
    async with runtime.sessions.begin() as session:
        meter = await a_meter(session)
        plan = await a_plan(session)
        await a_price(session, plan, DOLLARS, meter=meter, slug="egress")
        org = await an_organization(session, key="acme")
        await subscribed(session, org, plan)
    return org


async def use(runtime: Runtime, clock: Clock, value: int, at: datetime) -> None:
    """So many dollars' worth, heard of when the clock says."""
    event = incoming_event(
        id=f"{at.isoformat()} {value}",
        source="test",
        type="egress_gb",
        subject="acme",
        time=at,
        data={"value": value},
    )
    [verdict] = await record_usage(runtime, [event], viewer=COMMAND_LINE, now=clock.at)
    assert verdict.verdict == "ACCEPTED", verdict


async def sell(runtime: Runtime, clock: Clock, amount: int, at: datetime) -> None:
    item = NewOneOff("Migration", Decimal(amount), Currency.USD, f"item-{amount}", at)
    async with runtime.sessions.begin() as session:
        [org] = await session.scalars(select(Organization))
        await add_one_off(session, org, item, actor="cli", now=clock.at)


async def cap(runtime: Runtime, clock: Clock, amount: int) -> None:
    async with runtime.sessions.begin() as session:
        [org] = await session.scalars(select(Organization))
        await set_cap(session, org, Decimal(amount), actor="cli", now=clock.at)


Asked = Callable[[AsyncSession, Organization, datetime], Awaitable[Estimate]]


async def estimate(runtime: Runtime, ask: Asked, at: datetime) -> Estimate:
    async with runtime.sessions() as session:
        [org] = await session.scalars(select(Organization))
    async with runtime.sessions() as session:
        return await ask(session, org, at)


async def past(session: AsyncSession, org: Organization, then: datetime) -> Estimate:
    return await estimate_as_of(session, org, then, then + timedelta(days=90))


async def closed(runtime: Runtime, clock: Clock, at: datetime) -> list[tuple[LineKind, int]]:
    """The lines of the invoice that a close brings."""
    clock.at = at
    report = await close_due(runtime)
    assert (report.issued, report.held, report.failed) == (1, 0, [])
    async with runtime.sessions() as session:
        latest = select(Invoice.id).order_by(Invoice.period_start.desc())
        latest = latest.where(Invoice.number.is_not(None)).limit(1)
        rows = await session.scalars(
            select(InvoiceLine)
            .where(InvoiceLine.invoice_id == latest.scalar_subquery())
            .order_by(InvoiceLine.position)
        )
        return [(row.kind, row.amount_minor) for row in rows]


async def test_a_late_item_stays_under_the_maximum_of_its_period_when_its_invoice_is_corrected(
    runtime: Runtime, clock: Clock, org: Organization
) -> None:
    await cap(runtime, clock, 50)
    await use(runtime, clock, 40, NOVEMBER_10)
    await closed(runtime, clock, DECEMBER + GRACE)
    await sell(runtime, clock, 30, NOVEMBER_10)
    clock.advance(timedelta(days=9))
    await use(runtime, clock, 10, clock.at)
    assert await closed(runtime, clock, JANUARY + GRACE) == [
        (LineKind.USAGE, 1000),
        (LineKind.ONE_OFF, 3000),
        (LineKind.CAP_CREDIT, -2000),
    ]

    await use(runtime, clock, 5, JANUARY - timedelta(days=3))

    assert await closed(runtime, clock, FEBRUARY + GRACE) == [(LineKind.TRUE_UP, 500)]


async def test_true_ups_of_a_late_items_own_period_count_for_its_maximum_when_corrected(
    runtime: Runtime, clock: Clock, org: Organization
) -> None:
    await cap(runtime, clock, 50)
    await use(runtime, clock, 30, NOVEMBER_10)
    await closed(runtime, clock, DECEMBER + GRACE)
    await use(runtime, clock, 15, NOVEMBER_10 + timedelta(days=2))
    await sell(runtime, clock, 10, NOVEMBER_10)
    assert await closed(runtime, clock, JANUARY + GRACE) == [
        (LineKind.ONE_OFF, 1000),
        (LineKind.CAP_CREDIT, -500),
        (LineKind.TRUE_UP, 1500),
    ]

    await use(runtime, clock, 5, JANUARY - timedelta(days=3))

    assert await closed(runtime, clock, FEBRUARY + GRACE) == [(LineKind.TRUE_UP, 500)]


async def test_an_estimate_of_the_past_has_the_corrections_that_were_due_then(
    runtime: Runtime, clock: Clock, org: Organization
) -> None:
    await use(runtime, clock, 40, NOVEMBER_10)
    await closed(runtime, clock, DECEMBER + GRACE)
    await use(runtime, clock, 15, NOVEMBER_10 + timedelta(days=2))
    then = clock.advance(timedelta(days=1))
    shown = await estimate(runtime, current_estimate, then)
    await closed(runtime, clock, JANUARY + GRACE)

    remembered = await estimate(runtime, past, then)

    assert (shown.total.minor, remembered.total.minor) == (1500, 1500)
    assert shown.digest == remembered.digest


async def test_an_estimate_of_the_past_leaves_to_an_invoice_what_was_still_its_own(
    runtime: Runtime, clock: Clock, org: Organization
) -> None:
    await use(runtime, clock, 40, NOVEMBER_10)
    await sell(runtime, clock, 30, NOVEMBER_10)
    then = clock.at = DECEMBER + timedelta(hours=5)
    await use(runtime, clock, 2, DECEMBER)
    await close_due(runtime)
    shown = await estimate(runtime, current_estimate, then)
    await closed(runtime, clock, DECEMBER + GRACE)

    remembered = await estimate(runtime, past, then)

    assert (shown.total.minor, remembered.total.minor) == (200, 200)


async def test_a_coupon_that_moves_onto_usage_leaves_the_fee_under_the_next_maximum(
    runtime: Runtime, clock: Clock, org: Organization
) -> None:
    async with runtime.sessions.begin() as session:
        plan = await a_plan(session, "base")
        fee = {"model": "FLAT", "amount": "50", "timing": "ADVANCE"}
        await a_price(session, plan, fee, slug="base")
        await subscribed(session, org, plan, free_until=DECEMBER)
        coupon = NewCoupon("WELCOME", "Welcome", amount=Decimal(20), invoices_max=1)
        await create_coupon(session, org, coupon, actor="cli", now=clock.at)
    await cap(runtime, clock, 50)
    await use(runtime, clock, 10, NOVEMBER_10)
    november = await closed(runtime, clock, DECEMBER + GRACE)
    assert (LineKind.COUPON, -2000) in november
    await use(runtime, clock, 90, clock.at)
    await closed(runtime, clock, JANUARY + GRACE)
    async with runtime.sessions() as session:
        paid_of_december = await session.scalar(
            select(func.sum(InvoiceLine.amount_minor - InvoiceLine.reduced_minor)).where(
                InvoiceLine.kind.in_((LineKind.FEE_IN_ADVANCE, LineKind.USAGE)),
                InvoiceLine.span_start == DECEMBER,
            )
        )
    assert paid_of_december == 5000

    await use(runtime, clock, 90, DECEMBER - timedelta(hours=1))
    corrected = await closed(runtime, clock, FEBRUARY + GRACE)

    asked = sum(amount for kind, amount in corrected if kind is LineKind.TRUE_UP)
    assert asked == 5000 - 667, "what November still has room for, and December has none"
