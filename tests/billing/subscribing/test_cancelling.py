"""Ending a subscription now, later, or with the period; and taking that back."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from billing.errors import BillingError
from billing.models import AuditEntry, InvoiceStatus, Subscription
from billing.rules.invoicing import Settlement
from billing.rules.lines import LineKind
from billing.verifying import checks_counted, verify_unchecked
from tests.billing.subscribing.conftest import (
    DECEMBER,
    JANUARY,
    NOVEMBER,
    NOVEMBER_16,
    OCTOBER,
    Customer,
)


async def test_worked_example_14_what_is_not_used_becomes_credit(on_pro: Customer) -> None:
    await on_pro.use(140, NOVEMBER + timedelta(days=3))  # 50 are included in half a month
    await on_pro.use(-50, NOVEMBER + timedelta(days=4))
    await on_pro.cancel("pro", NOVEMBER_16)
    await on_pro.on(DECEMBER + timedelta(days=2))

    november = await on_pro.invoice_of(NOVEMBER)
    assert [(x.kind, x.amount_minor) for x in november.lines] == [
        (LineKind.USAGE, 400),
        (LineKind.UNUSED_FEE, -1450),
        (LineKind.MOVED_TO_CREDIT, 1050),
    ]
    assert (november.total_minor, november.status) == (0, InvoiceStatus.PAID)
    assert november.settled_by is Settlement.NOTHING_DUE


async def test_an_end_is_rounded_up_to_the_hour(on_pro: Customer) -> None:
    ended = await on_pro.cancel("pro", on_pro.clock.at)

    assert ended.ends_at == datetime(2026, 11, 10, 15, tzinfo=UTC)
    assert ended.ended_at == on_pro.clock.at


async def test_an_end_with_the_period_gives_nothing_back_and_bills_no_more(
    on_pro: Customer,
) -> None:
    ended = await on_pro.cancel("pro")
    await on_pro.on(JANUARY + timedelta(days=2))

    assert ended.ends_at == DECEMBER
    assert (await on_pro.invoice_of(NOVEMBER)).lines == []
    assert (await on_pro.invoice_of(DECEMBER)).lines == []
    assert await on_pro.billed() == 2 * 2900


async def test_a_subscription_that_is_resumed_was_never_cancelled(on_pro: Customer) -> None:
    await on_pro.cancel("pro", NOVEMBER_16)
    on_pro.clock.advance(timedelta(days=2))
    resumed = await on_pro.resume("pro")
    await on_pro.on(DECEMBER + timedelta(days=2))

    assert (resumed.ends_at, resumed.ended_at) == (None, None)
    assert await on_pro.billed() == 3 * 2900
    async with on_pro.runtime.sessions() as session:
        acts = await session.scalars(select(AuditEntry.action).order_by(AuditEntry.at))
    assert list(acts) == [
        "subscription.started",
        "subscription.cancelled",
        "subscription.resumed",
    ]


@pytest.mark.parametrize("decided", ["an end", "a change"])
async def test_what_was_taken_back_is_known_to_the_time_between(
    on_pro: Customer, decided: str
) -> None:
    shown = {on_pro.clock.at: await on_pro.shown()}
    on_pro.clock.advance(timedelta(hours=1))
    if decided == "an end":
        await on_pro.cancel("pro", NOVEMBER_16)
    else:
        await on_pro.change("pro", "max", NOVEMBER_16)
    between = on_pro.clock.at
    shown[between] = await on_pro.shown()
    on_pro.clock.advance(timedelta(hours=1))
    await on_pro.resume("pro")
    shown[on_pro.clock.at] = await on_pro.shown()
    on_pro.clock.advance(timedelta(days=1))

    assert {at: await on_pro.shown(at) for at in shown} == shown
    assert len(set(shown.values())) == 2


async def test_an_invoice_stays_verified_when_the_end_it_knew_is_taken_back(
    on_pro: Customer,
) -> None:
    await on_pro.cancel("pro", DECEMBER + timedelta(days=15))
    await on_pro.on(DECEMBER + timedelta(days=2))
    half = [line.amount_minor for line in (await on_pro.invoice_of(NOVEMBER)).lines]
    on_pro.clock.advance(timedelta(hours=1))
    await on_pro.resume("pro")
    await verify_unchecked(on_pro.runtime)

    assert half == [1403]
    async with on_pro.runtime.sessions() as session:
        assert await checks_counted(session) == {True: 2, False: 0}


async def test_cancelling_again_changes_nothing(on_pro: Customer) -> None:
    once = await on_pro.cancel("pro")
    on_pro.clock.advance(timedelta(hours=1))
    again = await on_pro.cancel("pro")

    assert (again.ends_at, again.ended_at) == (once.ends_at, once.ended_at)


async def test_another_end_may_be_chosen_until_it_has_come(on_pro: Customer) -> None:
    await on_pro.cancel("pro", NOVEMBER_16)
    later = await on_pro.cancel("pro", NOVEMBER_16 + timedelta(days=1))
    on_pro.clock.at = NOVEMBER_16 + timedelta(days=1)
    with pytest.raises(BillingError) as refusal:
        await on_pro.cancel("pro")

    assert later.ends_at == NOVEMBER_16 + timedelta(days=1)
    assert refusal.value.code == "NOT_ON_PLAN"


async def test_staff_may_cancel_in_what_has_passed_of_the_open_period(on_pro: Customer) -> None:
    await on_pro.cancel("pro", NOVEMBER)
    await on_pro.on(DECEMBER + timedelta(days=2))

    assert await on_pro.billed() == 2900


@pytest.mark.parametrize(
    ("plan", "at", "code"),
    [
        ("nothing", None, "PLAN_NOT_FOUND"),
        ("max", None, "NOT_ON_PLAN"),
        ("pro", NOVEMBER - timedelta(hours=1), "CHANGE_IN_CLOSED_PERIOD"),
        ("pro", OCTOBER, "END_BEFORE_START"),
    ],
)
async def test_what_cannot_be_cancelled(
    on_pro: Customer, plan: str, at: datetime | None, code: str
) -> None:
    with pytest.raises(BillingError) as refusal:
        await on_pro.cancel(plan, at)

    assert refusal.value.code == code
    async with on_pro.runtime.sessions() as session:
        (kept,) = (await session.scalars(select(Subscription))).all()
    assert kept.ends_at is None


async def test_a_change_into_a_closed_period_is_told_how_to_correct(on_pro: Customer) -> None:
    with pytest.raises(BillingError, match="a credit note or a one-off item"):
        await on_pro.cancel("pro", NOVEMBER - timedelta(hours=1))


async def test_who_starts_again_in_the_same_period_does_not_pay_twice(on_pro: Customer) -> None:
    await on_pro.cancel("pro", NOVEMBER_16)
    on_pro.clock.at = NOVEMBER_16 + timedelta(days=5)
    await on_pro.start("pro")
    invoices = await on_pro.invoices()
    await on_pro.on(DECEMBER + timedelta(days=2))

    assert len(invoices) == 2  # none at once for what November's fee has paid
    november = await on_pro.invoice_of(NOVEMBER)
    unused, december = november.lines
    assert unused.amount_minor == -483  # 5 of 30 days
    assert december.amount_minor == 2900
