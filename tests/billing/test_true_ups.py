"""Late usage and voids after the close: the next invoice has what the period still owes."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import select

from billing.accounts import COMMAND_LINE
from billing.closing import close_due
from billing.credits import NewGrant, grant_credit
from billing.estimates import current_estimate
from billing.invoices import get_invoice, invoices_for_org
from billing.models import Invoice, InvoiceCheck, LateUsage, Organization
from billing.one_offs import NewOneOff, add_one_off
from billing.rules.lines import LineKind
from billing.rules.money import Currency
from billing.rules.reductions import GrantKind
from billing.runtime import Runtime
from billing.usage import incoming_event, record_usage
from billing.usage.void_requests import VoidRequest
from billing.usage.voids import void_usage
from billing.verifying import verify_unchecked
from tests.factories import a_meter, a_plan, a_price, an_organization, subscribed
from tests.world import NOVEMBER_10, Clock

AFTER_GRACE = datetime(2026, 12, 2, 0, 1, tzinfo=UTC)
JANUARY = datetime(2027, 1, 3, tzinfo=UTC)
LADDER = {
    "model": "GRADUATED",
    "tiers": [{"up_to": "100", "unit_amount": "0.10"}, {"unit_amount": "0.05"}],
}
"""Worked example 1: 120 units cost 11.00, and (8) 170 units 13.50."""


@pytest.fixture
async def org(runtime: Runtime) -> Organization:
    async with runtime.sessions.begin() as session:
        meter = await a_meter(session)
        plan = await a_plan(session)
        await a_price(session, plan, LADDER, meter=meter, slug="egress")
        org = await an_organization(session, key="acme")
        await subscribed(session, org, plan)
    return org


async def send(runtime: Runtime, clock: Clock, event_id: str, value: str, at: datetime) -> None:
    event = incoming_event(
        id=event_id,
        source="test",
        type="egress_gb",
        subject="acme",
        time=at,
        data={"value": value, "app": "api"},
    )
    [verdict] = await record_usage(runtime, [event], viewer=COMMAND_LINE, now=clock.at)
    assert verdict.verdict == "ACCEPTED", verdict


async def closed(runtime: Runtime, clock: Clock, at: datetime) -> list[Invoice]:
    clock.at = at
    report = await close_due(runtime)
    assert (report.held, report.failed) == (0, [])
    async with runtime.sessions() as session:
        [org] = await session.scalars(select(Organization))
        found = await invoices_for_org(session, org.id, limit=10)
        return [await get_invoice(session, org.id, one.id) for one in found]


def lines_of(invoice: Invoice) -> list[tuple[LineKind, str, int]]:
    return [(x.kind, x.description, x.amount_minor) for x in invoice.lines]


async def test_late_usage_is_a_true_up_of_the_next_invoice(
    runtime: Runtime, clock: Clock, org: Organization
) -> None:
    await send(runtime, clock, "1", "120", NOVEMBER_10)
    [november] = await closed(runtime, clock, AFTER_GRACE)
    assert november.total_minor == 1100

    await send(runtime, clock, "2", "50", NOVEMBER_10 + timedelta(days=5))
    await send(runtime, clock, "3", "10", datetime(2026, 12, 1, 12, tzinfo=UTC))
    async with runtime.sessions() as session:
        [now_open] = await session.scalars(select(Organization))
    async with runtime.sessions() as session:
        estimate = await current_estimate(session, now_open, clock.at)
    assert (estimate.accrued.minor, estimate.total.minor) == (100, 350)

    december, november = await closed(runtime, clock, JANUARY)
    assert lines_of(december) == [
        (LineKind.USAGE, "egress", 100),
        (LineKind.TRUE_UP, "Correction to ACME-0001: egress", 250),
    ]
    [_, true_up] = december.lines
    assert (true_up.corrects_id, true_up.quantity) == (november.id, Decimal(50))
    async with runtime.sessions() as session:
        assert (await session.scalars(select(LateUsage))).all() == []


async def test_a_voided_event_is_given_back_and_late_plus_void_never_happened(
    runtime: Runtime, clock: Clock, org: Organization
) -> None:
    await send(runtime, clock, "1", "120", NOVEMBER_10)
    await send(runtime, clock, "2", "100", NOVEMBER_10)
    await closed(runtime, clock, AFTER_GRACE)
    await send(runtime, clock, "3", "1000", NOVEMBER_10)
    for event_id in ("2", "3"):
        await void_usage(
            runtime,
            [VoidRequest("acme", "test", event_id)],
            reason="A mistake.",
            viewer=COMMAND_LINE,
            now=clock.at,
        )
    await send(runtime, clock, "4", "200", datetime(2026, 12, 1, 12, tzinfo=UTC))

    december, november = await closed(runtime, clock, JANUARY)

    assert november.total_minor == 1600
    assert lines_of(december) == [
        (LineKind.USAGE, "egress", 1500),
        (LineKind.TRUE_UP, "Correction to ACME-0001: egress", -500),
    ]


async def test_what_is_given_back_of_a_meter_counts_for_a_grant_of_that_meter_alone(
    runtime: Runtime, clock: Clock, org: Organization
) -> None:
    await send(runtime, clock, "1", "120", NOVEMBER_10)
    await closed(runtime, clock, AFTER_GRACE)
    wanted = VoidRequest("acme", "test", "1")
    await void_usage(
        runtime, [wanted], reason="Twice.", viewer=COMMAND_LINE, now=clock.advance(timedelta(1))
    )
    grant = NewGrant("EGRESS", "Egress", GrantKind.PROMOTIONAL, Decimal(100), "egress_gb")
    item = NewOneOff("Migration", Decimal(50), Currency.USD, "item", clock.at)
    async with runtime.sessions.begin() as session:
        [now_open] = await session.scalars(select(Organization))
        await grant_credit(session, now_open, grant, actor="cli", now=clock.at)
        await add_one_off(session, now_open, item, actor="cli", now=clock.at)
    await send(runtime, clock, "2", "100", clock.at)

    december, _ = await closed(runtime, clock, JANUARY)

    assert [(kind, amount) for kind, _, amount in lines_of(december)] == [
        (LineKind.USAGE, 1000),
        (LineKind.ONE_OFF, 5000),
        (LineKind.TRUE_UP, -1100),
    ]


async def test_a_period_is_corrected_again_and_again_by_what_is_new(
    runtime: Runtime, clock: Clock, org: Organization
) -> None:
    await send(runtime, clock, "1", "120", NOVEMBER_10)
    await closed(runtime, clock, AFTER_GRACE)
    await send(runtime, clock, "2", "50", NOVEMBER_10)
    await closed(runtime, clock, JANUARY - timedelta(days=20))
    await send(runtime, clock, "3", "20", datetime(2026, 11, 30, tzinfo=UTC))

    december, _ = await closed(runtime, clock, JANUARY)

    assert lines_of(december) == [(LineKind.TRUE_UP, "Correction to ACME-0001: egress", 350)]
    january, *_ = await closed(runtime, clock, JANUARY + timedelta(days=31))
    assert lines_of(january) == []


async def test_every_invoice_is_what_its_events_come_to(
    runtime: Runtime, clock: Clock, org: Organization
) -> None:
    await send(runtime, clock, "1", "120", NOVEMBER_10)
    await closed(runtime, clock, AFTER_GRACE)
    await send(runtime, clock, "2", "50", NOVEMBER_10)
    await closed(runtime, clock, JANUARY)

    assert await verify_unchecked(runtime) == 2
    async with runtime.sessions() as session:
        checks = (await session.scalars(select(InvoiceCheck))).all()
    assert [(x.is_same, x.message) for x in checks] == [(True, "The same, from its events.")] * 2
