from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from billing.accounts import COMMAND_LINE
from billing.estimates import current_estimate
from billing.forecasts import forecast_for
from billing.models import Cap, Meter, Organization
from billing.rules.aggregation import Aggregation
from billing.rules.forecast import Forecast
from billing.runtime import Runtime
from billing.usage import IncomingEvent, NumberText, record_usage
from tests.factories import a_meter, a_plan, a_price, an_organization, counted, subscribed
from tests.world import NOVEMBER_10

EGRESS = {"model": "PER_UNIT", "unit_amount": "0.10"}
VOLUMES = {"model": "PER_UNIT", "unit_amount": "0.0002"}
FEE = {"model": "FLAT", "amount": "29.00", "timing": "ARREARS"}
FIRST = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture
async def acme(runtime: Runtime) -> Organization:
    """A dollar's egress every day from the 1st to the 9th, and 29.00 a month."""
    async with runtime.sessions.begin() as session:
        org = await an_organization(session, key="acme")
        egress = await a_meter(session)
        volumes = await a_meter(session, "volumes", aggregation=Aggregation.TIME_WEIGHTED)
        await _priced(session, org, egress, volumes)
        for day in range(9):
            at = FIRST + timedelta(days=day, hours=12)
            await counted(session, org.id, egress, 10, at, app="api")
    return org


async def _priced(session: AsyncSession, org: Organization, egress: Meter, volumes: Meter) -> None:
    plan = await a_plan(session)
    await a_price(session, plan, EGRESS, meter=egress, slug="egress")
    await a_price(session, plan, VOLUMES, meter=volumes, slug="volumes")
    await a_price(session, plan, FEE, slug="base")
    await subscribed(session, org, plan)


async def forecast_at(runtime: Runtime, org: Organization, now: datetime) -> Forecast | None:
    async with runtime.sessions() as session:
        estimate = await current_estimate(session, org, now)
        return await forecast_for(session, org, estimate)


async def hold(runtime: Runtime, org: Organization, gigabytes: str, at: datetime) -> None:
    event = IncomingEvent(
        id=f"held-{at}",
        source="disks",
        type="volumes",
        subject=org.key,
        time=at,
        data={"value": NumberText(gigabytes)},
    )
    [verdict] = await record_usage(runtime, [event], viewer=COMMAND_LINE, now=NOVEMBER_10)
    assert verdict.message is None


async def test_what_was_used_goes_on_and_fees_are_counted_once(
    runtime: Runtime, acme: Organization
) -> None:
    found = await forecast_at(runtime, acme, NOVEMBER_10)

    assert found is not None
    assert found.low == found.expected == found.high
    assert found.expected.major == Decimal("58.42"), "29 + 9 + 20 days and 10 hours at 1.00"
    assert found.method == "if the last 7 days continue; $29.00 of that is fixed"


async def test_what_is_held_goes_on_by_the_hour_and_is_not_counted_among_the_days(
    runtime: Runtime, acme: Organization
) -> None:
    await hold(runtime, acme, "1000", FIRST)

    found = await forecast_at(runtime, acme, NOVEMBER_10)

    assert found is not None
    assert found.expected.major == Decimal("202.42"), "720 hours at 0.20 more"
    assert "what runs now stays on" in found.method


async def test_what_is_held_no_more_costs_what_it_did(runtime: Runtime, acme: Organization) -> None:
    await hold(runtime, acme, "1000", FIRST)
    await hold(runtime, acme, "0", FIRST + timedelta(hours=50))

    found = await forecast_at(runtime, acme, NOVEMBER_10)

    assert found is not None
    assert found.expected.major == Decimal("68.42"), "50 hours at 0.20 more"
    assert "stays on" not in found.method


async def test_the_maximum_holds_it(runtime: Runtime, acme: Organization) -> None:
    async with runtime.sessions.begin() as session:
        cap = Cap(
            org_id=acme.id,
            amount_minor=5000,
            period_start=FIRST,
            forgiven_minor=0,
            floor_minor=0,
            actor="test",
            recorded_at=FIRST,
        )
        session.add(cap)

    found = await forecast_at(runtime, acme, NOVEMBER_10)

    assert found is not None
    assert found.high.major == Decimal("50.00")
    assert "your maximum allows no more" in found.method


async def test_at_the_end_it_is_the_estimate(runtime: Runtime, acme: Organization) -> None:
    last = datetime(2026, 12, 1, tzinfo=UTC) - timedelta(microseconds=1)

    found = await forecast_at(runtime, acme, last)

    async with runtime.sessions() as session:
        estimate = await current_estimate(session, acme, last)
    assert found is not None
    assert found.low == found.high == estimate.accrued


async def test_days_before_an_organization_opened_say_nothing(runtime: Runtime) -> None:
    opened_at = datetime(2026, 11, 8, 15, tzinfo=UTC)
    async with runtime.sessions.begin() as session:
        org = await an_organization(session, key="late", opened_at=opened_at)

    assert await forecast_at(runtime, org, datetime(2026, 11, 9, 23, 59, tzinfo=UTC)) is None
    assert await forecast_at(runtime, org, datetime(2026, 11, 10, tzinfo=UTC)) is not None
