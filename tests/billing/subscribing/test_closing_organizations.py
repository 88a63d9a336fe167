"""An organization's first and last period: parts of one."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from billing.accounts import NewOrganization, create_organization
from billing.errors import BillingError
from billing.holds import holds_of
from billing.models import HoldReason, InvoiceStatus, Subscription
from billing.rules.lines import LineKind
from billing.subscribing import start_subscription
from jobs.close_periods import close_periods
from tests.billing.subscribing.conftest import (
    DECEMBER,
    JANUARY,
    NOVEMBER,
    NOVEMBER_16,
    Customer,
)


async def test_the_period_it_falls_in_is_the_last_invoice(on_pro: Customer) -> None:
    await on_pro.start("support", starts_at=NOVEMBER)
    await on_pro.change("pro", "max", NOVEMBER_16 + timedelta(days=3))
    await on_pro.use(80, NOVEMBER + timedelta(days=1))
    closed = await on_pro.close(NOVEMBER_16 - timedelta(minutes=1))
    await on_pro.on(datetime(2027, 3, 1, tzinfo=UTC))

    assert closed.closed_at == NOVEMBER_16
    november = (await on_pro.invoices())[-1]
    assert november.period_start == NOVEMBER
    assert [(x.kind, x.amount_minor) for x in november.lines][:3] == [
        (LineKind.USAGE, 300),  # of 80, 50 are included in half a month
        (LineKind.UNUSED_FEE, -1450),
        (LineKind.UNUSED_FEE, -500),
    ]
    async with on_pro.runtime.sessions() as session:
        ends = (await session.scalars(select(Subscription.ends_at))).all()
    assert ends == [NOVEMBER_16, NOVEMBER_16]


async def test_closed_with_the_period_it_is_billed_no_next_one(on_pro: Customer) -> None:
    await on_pro.close(DECEMBER)
    await on_pro.on(JANUARY + timedelta(days=40))

    assert [x.period_start for x in await on_pro.invoices()][-1] == NOVEMBER
    assert (await on_pro.invoice_of(NOVEMBER)).lines == []


async def test_usage_after_it_is_unpriced_and_holds_the_last_invoice(on_pro: Customer) -> None:
    await on_pro.close(NOVEMBER_16)
    await on_pro.use(1, NOVEMBER_16 + timedelta(days=1))
    await on_pro.on(DECEMBER + timedelta(days=2))

    november = await on_pro.invoice_of(NOVEMBER)
    assert november.status is InvoiceStatus.CLOSING
    async with on_pro.runtime.sessions() as session:
        (hold,) = await holds_of(session, november.id)
    assert hold.reason is HoldReason.UNPRICED


async def test_it_is_final(on_pro: Customer) -> None:
    await on_pro.close(NOVEMBER_16)
    await on_pro.close(NOVEMBER_16)
    acts = (
        lambda: on_pro.close(DECEMBER),
        lambda: on_pro.resume("pro"),
        lambda: on_pro.cancel("pro"),
        lambda: on_pro.change("pro", "max", NOVEMBER_16),
        lambda: on_pro.override(
            "pro", "egress", {"model": "PER_UNIT", "unit_amount": "1"}, DECEMBER
        ),
        lambda: start_late(on_pro),
    )
    for act in acts:
        with pytest.raises(BillingError) as refusal:
            await act()
        assert refusal.value.code == "ORGANIZATION_CLOSED"


async def start_late(customer: Customer) -> None:
    customer.clock.at = NOVEMBER_16 + timedelta(hours=1)
    await customer.start("support")


async def test_what_is_started_before_it_ends_with_it(on_pro: Customer) -> None:
    await on_pro.close(NOVEMBER_16)
    started = await on_pro.start("support")

    assert started.ends_at == NOVEMBER_16


@pytest.mark.parametrize(
    ("at", "code"),
    [
        (NOVEMBER - timedelta(hours=1), "CHANGE_IN_CLOSED_PERIOD"),
        (NOVEMBER, "CLOSED_BEFORE_OPEN"),
        (NOVEMBER + timedelta(days=1), "CLOSED_BEFORE_START"),
    ],
)
async def test_when_it_cannot_be_closed(on_pro: Customer, at: datetime, code: str) -> None:
    await on_pro.start("support")
    with pytest.raises(BillingError) as refusal:
        await on_pro.close(at)

    assert refusal.value.code == code


async def test_opened_within_a_period_it_pays_for_the_rest(customer: Customer) -> None:
    customer.clock.at = now = NOVEMBER_16 + timedelta(hours=11, minutes=59)
    new = NewOrganization("late", "late", "Late", "USD", "ap@late.example")
    async with customer.runtime.sessions.begin() as session:
        customer.org = await create_organization(session, new, actor="test", now=now)
        await start_subscription(session, customer.org, "pro", now, actor="test", now=now)
    await customer.use(100, NOVEMBER_16 + timedelta(days=2))
    customer.clock.at = DECEMBER + timedelta(days=2)
    await close_periods({"runtime": customer.runtime})

    november, first = await customer.invoices()
    assert first.total_minor == 1406  # 349 of 720 hours
    usage = november.lines[0]
    assert (usage.kind, usage.amount_minor) == (LineKind.USAGE, 515)  # 48.47 are included
