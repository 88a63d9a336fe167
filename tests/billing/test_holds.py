"""What holds a close, whom it stops, and how it ends."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from billing.closing import CloseReport, close_due, close_progress
from billing.errors import Conflict, Invalid, NotFound
from billing.holds import holds_of, open_holds, release_hold
from billing.models import (
    AuditEntry,
    HoldReason,
    InvoiceStatus,
    Meter,
    Organization,
    UsageHeartbeat,
    UsageSource,
)
from billing.runtime import Runtime
from tests.billing.customers import Sold, a_customer, invoices, sold_at
from tests.factories import a_meter, a_plan, a_price, counted, subscribed
from tests.world import NOVEMBER_10, Clock

AFTER_GRACE = datetime(2026, 12, 2, 0, 1, tzinfo=UTC)
DOLLAR = {"model": "PER_UNIT", "unit_amount": "1"}


@pytest.fixture
async def sold(runtime: Runtime) -> Sold:
    return await sold_at(runtime, DOLLAR)


async def used(
    runtime: Runtime, org: Organization, meter: Meter, quantity: int, at: datetime
) -> None:
    async with runtime.sessions.begin() as session:
        await counted(session, org.id, meter, quantity, at)


async def swept(runtime: Runtime, clock: Clock, at: datetime) -> CloseReport:
    clock.at = at
    report = await close_due(runtime)
    assert report.failed == []
    return report


async def reasons(runtime: Runtime, org: Organization) -> list[tuple[HoldReason, bool]]:
    latest, *_ = await invoices(runtime, org)
    async with runtime.sessions() as session:
        return [(x.reason, x.released_at is None) for x in await holds_of(session, latest.id)]


async def released(
    runtime: Runtime, org: Organization, reason: HoldReason, now: datetime, note: str = "Looked at."
) -> None:
    async with runtime.sessions.begin() as session:
        await release_hold(session, org, reason, note=note, actor="person:olive", now=now)


async def test_usage_without_a_price_holds_its_invoice_until_staff_let_it_go(
    runtime: Runtime, clock: Clock, sold: Sold
) -> None:
    org = await a_customer(runtime, sold, 400, key="acme")
    other = await a_customer(runtime, sold, 400)
    async with runtime.sessions.begin() as session:
        gpu = await a_meter(session, "gpu_hours")
        await counted(session, org.id, gpu, "5000", NOVEMBER_10)

    report = await swept(runtime, clock, AFTER_GRACE)

    assert (report.issued, report.held) == (1, 1)
    assert [x.status for x in await invoices(runtime, org)] == [InvoiceStatus.CLOSING]
    assert [x.status for x in await invoices(runtime, other)] == [InvoiceStatus.OPEN]
    async with runtime.sessions() as session:
        [(_, _, hold)] = await open_holds(session, limit=10)
        progress = await close_progress(session, clock.at)
    assert hold.message.startswith("5000 GB of gpu_hours have no price")
    assert (progress.due, progress.held, progress.issued_today) == (0, 1, 1)

    with pytest.raises(Invalid, match="Say why"):
        await released(runtime, org, HoldReason.UNPRICED, clock.at, note=" ")
    with pytest.raises(NotFound):
        await released(runtime, other, HoldReason.UNPRICED, clock.at)
    await released(runtime, org, HoldReason.UNPRICED, clock.at)
    await swept(runtime, clock, AFTER_GRACE)

    [issued] = await invoices(runtime, org)
    assert (issued.status, issued.total_minor) == (InvoiceStatus.OPEN, 40_000)
    async with runtime.sessions() as session:
        acts = (await session.scalars(select(AuditEntry))).all()
    assert [(act.actor, act.action, act.subject) for act in acts] == [
        ("person:olive", "hold.released", "UNPRICED")
    ]


async def test_a_hold_whose_cause_is_gone_releases_itself(
    runtime: Runtime, clock: Clock, sold: Sold
) -> None:
    org = await a_customer(runtime, sold, 400)
    async with runtime.sessions.begin() as session:
        gpu = await a_meter(session, "gpu_hours")
        await counted(session, org.id, gpu, 10, NOVEMBER_10)
    await swept(runtime, clock, AFTER_GRACE)
    async with runtime.sessions.begin() as session:
        await a_price(session, sold[1], DOLLAR, meter=gpu, slug="gpu")

    await swept(runtime, clock, AFTER_GRACE + timedelta(minutes=1))
    assert [x.status for x in await invoices(runtime, org)] == [InvoiceStatus.CLOSING]
    await swept(runtime, clock, AFTER_GRACE + timedelta(minutes=6))

    [issued] = await invoices(runtime, org)
    assert (issued.status, issued.total_minor) == (InvoiceStatus.OPEN, 41_000)
    assert await reasons(runtime, org) == [(HoldReason.UNPRICED, False)]


async def test_three_times_the_highest_of_the_last_three_is_looked_at(
    runtime: Runtime, clock: Clock, sold: Sold
) -> None:
    org = await a_customer(runtime, sold, 100)
    await used(runtime, org, sold[0], 100, datetime(2026, 12, 5, tzinfo=UTC))
    await used(runtime, org, sold[0], 300, datetime(2027, 1, 5, tzinfo=UTC))
    await used(runtime, org, sold[0], 901, datetime(2027, 2, 5, tzinfo=UTC))
    await swept(runtime, clock, datetime(2027, 2, 3, tzinfo=UTC))
    assert [x.total_minor for x in await invoices(runtime, org)] == [30_000, 10_000, 10_000]

    report = await swept(runtime, clock, datetime(2027, 3, 3, tzinfo=UTC))

    assert (report.issued, report.held) == (0, 1)
    assert await reasons(runtime, org) == [(HoldReason.ANOMALY, True)]
    await released(runtime, org, HoldReason.ANOMALY, clock.at)
    await swept(runtime, clock, clock.at)
    latest, *_ = await invoices(runtime, org)
    assert latest.total_minor == 90_100


async def test_a_new_organization_may_owe_so_much_before_it_is_known(
    runtime: Runtime, clock: Clock, sold: Sold
) -> None:
    org = await a_customer(runtime, sold, 50_001)

    report = await swept(runtime, clock, AFTER_GRACE)

    assert report.held == 1
    assert await reasons(runtime, org) == [(HoldReason.NEW_ORGANIZATION, True)]


async def test_a_source_that_is_behind_holds_until_it_has_come_or_for_three_days(
    runtime: Runtime, clock: Clock, sold: Sold, caplog: pytest.LogCaptureFixture
) -> None:
    org = await a_customer(runtime, sold, 400)
    other = await a_customer(runtime, sold, 400)
    async with runtime.sessions.begin() as session:
        session.add(
            UsageSource(
                org_id=org.id,
                source="syd",
                last_occurred_at=NOVEMBER_10,
                last_recorded_at=NOVEMBER_10,
            )
        )
        session.add(UsageHeartbeat(source="syd", through=NOVEMBER_10, recorded_at=NOVEMBER_10))

    report = await swept(runtime, clock, AFTER_GRACE)
    assert (report.issued, report.held) == (1, 1)
    assert [x.status for x in await invoices(runtime, other)] == [InvoiceStatus.OPEN]
    assert await reasons(runtime, org) == [(HoldReason.SOURCE_GAP, True)]

    await swept(runtime, clock, AFTER_GRACE + timedelta(hours=71))
    assert [x.status for x in await invoices(runtime, org)] == [InvoiceStatus.CLOSING]
    await swept(runtime, clock, AFTER_GRACE + timedelta(hours=72, minutes=6))
    assert [x.status for x in await invoices(runtime, org)] == [InvoiceStatus.OPEN]
    assert "goes out although: syd has sent everything only up to" in caplog.text


async def test_a_close_that_fails_is_listed_and_cannot_be_waved_through(
    runtime: Runtime, clock: Clock, sold: Sold
) -> None:
    broken = await a_customer(runtime, sold, 400)
    sound = await a_customer(runtime, sold, 400)
    async with runtime.sessions.begin() as session:
        plan = await a_plan(session, "broken")
        await a_price(session, plan, {"model": "NOBODY_KNOWS"})  # a fault of ours
        await subscribed(session, broken, plan)

    clock.at = AFTER_GRACE
    report = await close_due(runtime)

    assert [x.status for x in await invoices(runtime, sound)] == [InvoiceStatus.OPEN]
    assert "NOBODY_KNOWS" in report.failed[0].message
    assert await reasons(runtime, broken) == [(HoldReason.FAILED, True)]
    with pytest.raises(Conflict, match="mend its cause"):
        await released(runtime, broken, HoldReason.FAILED, clock.at)
