"""Invoices computed again from their events: every kind of line, and what was tampered with."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from sqlalchemy import select, text

from billing.accounts import COMMAND_LINE
from billing.closing import close_due
from billing.holds import open_holds, release_hold
from billing.models import Invoice, InvoiceKind, InvoiceLine, InvoiceStatus, Organization
from billing.rules.lines import LineKind
from billing.runtime import Runtime
from billing.usage import fold_tail, incoming_event, record_usage
from billing.verifying import Verified, verify_all
from billing.voiding import reissue_invoice, void_invoice
from tests.factories import a_meter, a_plan, a_price, an_organization, subscribed
from tests.reference.adapter import world_with_our_settings
from tests.reference.playing import Player
from tests.reference.reference import invoices_of
from tests.world import NOVEMBER_10, Clock

WITH_EVERY_KIND = (130, 244)
"""Seeds of two small worlds that have every kind of line between them, late events and voids, an
end taken back and prices of the organization's own."""

LADDER = {
    "model": "GRADUATED",
    "tiers": [{"up_to": "100", "unit_amount": "0.10"}, {"unit_amount": "0.05"}],
}
AFTER_GRACE = datetime(2026, 12, 2, 0, 1, tzinfo=UTC)
JANUARY = datetime(2027, 1, 3, tzinfo=UTC)


async def verified(runtime: Runtime) -> list[Verified]:
    async with runtime.sessions() as session:
        issued = select(Invoice.id).where(Invoice.number.is_not(None))
        ids = (await session.scalars(issued.order_by(Invoice.issued_at, Invoice.number))).all()
    return [one async for one in verify_all(runtime, ids)]


async def issue_again(runtime: Runtime, clock: Clock) -> None:
    """Void what can be voided of the periods' invoices, and close its next revision."""
    async with runtime.sessions() as session:
        [org] = await session.scalars(select(Organization))
        asked = select(Invoice).where(
            Invoice.kind == InvoiceKind.PERIOD, Invoice.status == InvoiceStatus.OPEN
        )
        invoice = (await session.scalars(asked.order_by(Invoice.period_start.desc()))).first()
    assert invoice is not None
    clock.advance(timedelta(hours=1))
    await void_invoice(runtime, org, str(invoice.number), reason="A mistake.", actor="test")
    clock.advance(timedelta(hours=1))
    async with runtime.sessions.begin() as session:
        await reissue_invoice(session, org, str(invoice.number), actor="test", now=clock.at)
    while (await close_due(runtime)).held:
        async with runtime.sessions.begin() as session:
            for whose, _, hold in await open_holds(session, limit=5):
                await release_hold(
                    session, whose, hold.reason, note="Fine.", actor="test", now=clock.at
                )


@pytest.mark.parametrize("seed", WITH_EVERY_KIND)
async def test_whatever_happened_every_invoice_is_what_its_events_come_to(
    connected: Runtime, clock: Clock, seed: int
) -> None:
    world, runtime = world_with_our_settings(seed, "small"), connected
    await Player(world, runtime, clock, Random(seed)).play()
    found = await verified(runtime)
    assert [x.message for x in found if not x.is_same] == []

    await issue_again(runtime, clock)

    again = await verified(runtime)
    assert [x.message for x in again if not x.is_same] == []
    assert len(again) == len(found) + 1


def test_the_worlds_have_every_kind_of_line() -> None:
    worlds = [world_with_our_settings(seed, "small") for seed in WITH_EVERY_KIND]
    kinds = {line.kind for world in worlds for one in invoices_of(world) for line in one.lines}

    assert len(kinds) == len(LineKind)


@pytest.fixture
async def org(runtime: Runtime) -> Organization:
    async with runtime.sessions.begin() as session:
        meter = await a_meter(session)
        plan = await a_plan(session)
        await a_price(session, plan, LADDER, meter=meter, slug="egress")
        org = await an_organization(session, key="acme")
        await subscribed(session, org, plan)
    return org


async def send(runtime: Runtime, clock: Clock, value: str, at: datetime) -> None:
    event = incoming_event(
        id=value, source="test", type="egress_gb", subject="acme", time=at, data={"value": value}
    )
    [verdict] = await record_usage(runtime, [event], viewer=COMMAND_LINE, now=clock.at)
    assert verdict.verdict == "ACCEPTED", verdict


async def close(runtime: Runtime, clock: Clock, at: datetime) -> None:
    clock.at = at
    assert (await close_due(runtime)).issued == 1


async def tamper(runtime: Runtime, statement: str) -> None:
    """Past the triggers that freeze invoices."""
    async with runtime.engine.begin() as connection:
        await connection.execute(text("SET LOCAL session_replication_role = replica"))
        assert (await connection.execute(text(statement))).rowcount == 1


async def bucket(runtime: Runtime, clock: Clock) -> None:
    """One unit too much in an hour, before it is billed."""
    await fold_tail(runtime)
    await tamper(runtime, "UPDATE usage_buckets SET total = total + 1")
    await close(runtime, clock, AFTER_GRACE)


async def line(runtime: Runtime, clock: Clock) -> None:
    """A cent more on a line that was issued."""
    await close(runtime, clock, AFTER_GRACE)
    await tamper(runtime, "UPDATE invoice_lines SET amount_minor = amount_minor + 1")


async def share(runtime: Runtime, clock: Clock) -> None:
    """A reduction that no coupon gave."""
    await close(runtime, clock, AFTER_GRACE)
    await tamper(runtime, "UPDATE invoice_lines SET reduced_minor = 5")


async def total(runtime: Runtime, clock: Clock) -> None:
    """Another total than that of the lines."""
    await close(runtime, clock, AFTER_GRACE)
    await tamper(runtime, "UPDATE invoices SET total_minor = total_minor + 1")


async def late(runtime: Runtime, clock: Clock) -> None:
    """Late usage whose note is gone: nothing will bill it."""
    await close(runtime, clock, AFTER_GRACE)
    await send(runtime, clock, "50", NOVEMBER_10)
    await fold_tail(runtime)
    await tamper(runtime, "DELETE FROM late_usage")


async def correction(runtime: Runtime, clock: Clock) -> None:
    """A true-up that was made smaller afterwards."""
    await close(runtime, clock, AFTER_GRACE)
    await send(runtime, clock, "50", NOVEMBER_10)
    await close(runtime, clock, JANUARY)
    await tamper(runtime, "UPDATE invoice_lines SET amount_minor = 100 WHERE kind = 'TRUE_UP'")


TAMPERED: dict[Callable[[Runtime, Clock], Awaitable[None]], tuple[int, str]] = {
    bucket: (0, "pro/egress/USD@1: invoiced 11.05 for 121 GB, from events 11.00 for 120 GB"),
    line: (0, "pro/egress/USD@1: invoiced 11.01 for 120 GB, from events 11.00 for 120 GB"),
    share: (0, "pro/egress/USD@1: invoiced 11.00 for 120 GB, from events 11.00 for 120 GB"),
    total: (0, "The digest or the total differs."),
    late: (0, "nothing bills it: Correction to ACME-0001: egress 2.50"),
    correction: (1, "pro/egress/USD~ACME-0001: invoiced 1.00 for 50 GB, from events 2.50"),
}


@pytest.mark.parametrize("tampering", TAMPERED, ids=lambda one: one.__name__)
async def test_what_was_tampered_with_is_named(
    runtime: Runtime,
    clock: Clock,
    org: Organization,
    tampering: Callable[[Runtime, Clock], Awaitable[None]],
) -> None:
    await send(runtime, clock, "120", NOVEMBER_10)

    await tampering(runtime, clock)

    place, told = TAMPERED[tampering]
    found = (await verified(runtime))[place]
    assert found.is_same is False
    assert told in found.message


async def test_nobody_tampered(runtime: Runtime, clock: Clock, org: Organization) -> None:
    await send(runtime, clock, "120", NOVEMBER_10)
    await close(runtime, clock, AFTER_GRACE)
    await send(runtime, clock, "50", NOVEMBER_10)
    assert [x.is_same for x in await verified(runtime)] == [True]
    await close(runtime, clock, JANUARY)

    assert [x.is_same for x in await verified(runtime)] == [True, True]
    async with runtime.sessions() as session:
        kinds = (await session.scalars(select(InvoiceLine.kind))).all()
    assert sorted(kinds) == [LineKind.TRUE_UP, LineKind.USAGE]
