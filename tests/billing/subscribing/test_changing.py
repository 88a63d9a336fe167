"""From one plan to another: two halves of one period, on one invoice."""

import asyncio
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from billing.charges import Basis, charges_for
from billing.errors import BillingError
from billing.models import Invoice, Subscription
from billing.rules.lines import LineKind
from billing.rules.periods import Period
from billing.subscribing import change_plan, start_subscription
from tests.billing.subscribing.conftest import (
    DECEMBER,
    JANUARY,
    NOVEMBER,
    NOVEMBER_16,
    Customer,
)
from tests.factories import an_organization, counted

HALVES = [
    (LineKind.FEE, "max/base/USD@1", 2450),
    (LineKind.UNUSED_FEE, "pro/base/USD@1", -1450),
    (LineKind.FEE_IN_ADVANCE, "max/base/USD@1", 4900),
]


def lines_of(invoice: Invoice) -> list[tuple[LineKind, str, int]]:
    return [(x.kind, x.key, x.amount_minor) for x in invoice.lines]


async def test_worked_example_5_a_ladder_goes_on_over_the_change(on_pro: Customer) -> None:
    await on_pro.use(80, NOVEMBER + timedelta(days=5))
    await on_pro.change("pro", "max", NOVEMBER_16)
    await on_pro.use(600, NOVEMBER_16 + timedelta(days=5))
    await on_pro.on(DECEMBER + timedelta(days=2))

    november = await on_pro.invoice_of(NOVEMBER)
    usage = [x for x in november.lines if x.kind is LineKind.USAGE]
    assert [(x.key, x.amount_minor) for x in usage] == [
        ("pro/egress/USD@1", 0),
        ("max/egress/USD@1", 1300),
    ]
    included = [step for x in usage for step in x.steps if step["kind"] == "ALLOWANCE"]
    assert sum(Fraction(step["quantity"]) for step in included) == 550


async def test_both_halves_are_on_the_next_close_and_none_is_invoiced_at_once(
    on_pro: Customer,
) -> None:
    new = await on_pro.change("pro", "max", NOVEMBER_16)
    assert len(await on_pro.invoices()) == 2
    await on_pro.on(DECEMBER + timedelta(days=2))

    assert new.replaces_id is not None
    assert lines_of(await on_pro.invoice_of(NOVEMBER)) == HALVES


async def test_a_change_now_holds_from_the_next_whole_hour(on_pro: Customer) -> None:
    new = await on_pro.change("pro", "max")

    assert new.starts_at == datetime(2026, 11, 10, 15, tzinfo=UTC)
    async with on_pro.runtime.sessions() as session:
        old = await session.get_one(Subscription, new.replaces_id)
    assert (old.ends_at, old.ended_at) == (new.starts_at, on_pro.clock.at)


async def test_a_change_with_the_period_only_changes_the_next_one(on_pro: Customer) -> None:
    await on_pro.change("pro", "max", DECEMBER)
    await on_pro.on(DECEMBER + timedelta(days=2))

    november = await on_pro.invoice_of(NOVEMBER)
    assert lines_of(november) == [(LineKind.FEE_IN_ADVANCE, "max/base/USD@1", 4900)]


async def test_a_change_while_the_last_period_is_closing(on_pro: Customer) -> None:
    await on_pro.on(DECEMBER + timedelta(hours=10))  # November is in its grace
    await on_pro.change("pro", "max", DECEMBER + timedelta(days=15, hours=12))
    await on_pro.on(DECEMBER + timedelta(days=2))
    await on_pro.on(JANUARY + timedelta(days=2))

    assert lines_of(await on_pro.invoice_of(NOVEMBER)) == [
        (LineKind.FEE_IN_ADVANCE, "pro/base/USD@1", 1450),
        (LineKind.FEE_IN_ADVANCE, "max/base/USD@1", 2450),
    ]
    assert lines_of(await on_pro.invoice_of(DECEMBER)) == [
        (LineKind.FEE_IN_ADVANCE, "max/base/USD@1", 4900)
    ]


async def test_an_open_period_does_not_show_what_the_closing_one_asks_for(
    on_pro: Customer,
) -> None:
    await on_pro.on(DECEMBER + timedelta(hours=10))
    drafts = []
    for period in (Period(NOVEMBER, DECEMBER), Period(DECEMBER, JANUARY)):
        async with on_pro.runtime.sessions() as session:
            charges = await charges_for(session, on_pro.org, period, Basis(on_pro.clock.at))
        drafts.append([(x.kind, x.amount.minor) for x in charges.draft.lines])

    assert drafts == [[(LineKind.FEE_IN_ADVANCE, 2900)]] * 2


async def test_a_change_that_is_to_come_is_withdrawn_by_resuming(on_pro: Customer) -> None:
    first = await on_pro.change("pro", "max", DECEMBER)
    again = await on_pro.change("pro", "max", DECEMBER)
    for act in (on_pro.cancel, lambda plan: on_pro.change(plan, "twin")):
        with pytest.raises(BillingError) as refusal:
            await act("pro")
        assert refusal.value.code == "CHANGE_PENDING"
    await on_pro.resume("pro")
    await on_pro.on(DECEMBER + timedelta(days=2))

    assert again.id == first.id
    november = await on_pro.invoice_of(NOVEMBER)
    assert lines_of(november) == [(LineKind.FEE_IN_ADVANCE, "pro/base/USD@1", 2900)]


@pytest.mark.parametrize(
    ("left", "plan", "at", "code"),
    [
        ("max", "pro", None, "NOT_ON_PLAN"),
        ("pro", "pro", None, "ALREADY_ON_PLAN"),
        ("pro", "support", None, "ALREADY_ON_PLAN"),
        ("support", "max", None, "METER_PRICED_TWICE"),
        ("pro", "max", NOVEMBER - timedelta(hours=1), "CHANGE_IN_CLOSED_PERIOD"),
        ("pro", "nothing", None, "PLAN_NOT_FOUND"),
    ],
)
async def test_what_cannot_be_changed(
    on_pro: Customer, left: str, plan: str, at: datetime | None, code: str
) -> None:
    await on_pro.start("support")
    with pytest.raises(BillingError) as refusal:
        await on_pro.change(left, plan, at)

    assert refusal.value.code == code


async def test_a_change_to_come_keeps_out_what_it_will_price(on_pro: Customer) -> None:
    await on_pro.start("support")
    await on_pro.cancel("pro", NOVEMBER_16)
    await on_pro.change("support", "max", DECEMBER)
    with pytest.raises(BillingError) as refusal:
        await on_pro.resume("pro")

    assert refusal.value.code == "METER_PRICED_TWICE"


async def test_of_two_changes_at_once_one_is_made(on_pro: Customer) -> None:
    outcomes = await asyncio.gather(
        on_pro.change("pro", "max", NOVEMBER_16),
        on_pro.change("pro", "twin", NOVEMBER_16),
        return_exceptions=True,
    )
    async with on_pro.runtime.sessions() as session:
        rows = (await session.scalars(select(Subscription))).all()

    refused = [x.code for x in outcomes if isinstance(x, BillingError)]
    assert refused == ["CHANGE_PENDING"]
    assert len(rows) == 2


NOVEMBER_WHOLE = Period(NOVEMBER, DECEMBER)
USED = ((2, "70.5"), (15, "33"), (28, "61.125"))
Bill = list[tuple[object, ...]]


@pytest.fixture
async def unswitched(customer: Customer) -> Bill:
    async with customer.runtime.sessions() as session:
        return await bill_of_november(session, customer, [])


@given(hours=st.lists(st.integers(1, 719), min_size=1, max_size=4, unique=True).map(sorted))
@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
async def test_switching_between_identical_plans_changes_nothing(
    customer: Customer, unswitched: Bill, hours: list[int]
) -> None:
    async with customer.runtime.sessions() as session:  # never committed: each example is alone
        assert await bill_of_november(session, customer, hours) == unswitched

    assert [line[-1] for line in unswitched] == [646, 2900]


async def bill_of_november(session: AsyncSession, customer: Customer, hours: list[int]) -> Bill:
    """Of a new organization that switches between `pro` and `twin` at these hours."""
    org = await an_organization(session, opened_at=NOVEMBER)
    await start_subscription(session, org, "pro", NOVEMBER, actor="test", now=NOVEMBER)
    for day, quantity in USED:
        at = NOVEMBER + timedelta(days=day, hours=5)
        await counted(session, org.id, customer.egress, quantity, at, app="api")
    plans = ["pro", "twin"]
    for hour in hours:
        now = NOVEMBER + timedelta(hours=hour)
        await change_plan(session, org, *plans, at=now, actor="test", now=now)
        plans.reverse()
    charges = await charges_for(session, org, NOVEMBER_WHOLE, Basis(DECEMBER))
    return [
        (
            x.kind,
            x.key if x.kind is LineKind.USAGE else x.key.partition("/")[2],
            x.span,
            x.quantity,
            x.exact_minor,
            x.amount.minor,
        )
        for x in charges.draft.lines
    ]
