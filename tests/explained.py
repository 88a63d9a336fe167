"""A bill whose every line can be followed to its events: for tests of the surfaces of proof."""

from datetime import UTC, datetime

from sqlalchemy import select

from billing.accounts import COMMAND_LINE
from billing.closing import close_due
from billing.models import Organization
from billing.runtime import Runtime
from billing.usage import incoming_event, record_usage
from billing.usage.void_requests import VoidRequest
from billing.usage.voids import void_usage
from tests.factories import a_meter, a_plan, a_price, an_organization, subscribed
from tests.world import Clock

AFTER_GRACE = datetime(2026, 12, 2, 0, 1, tzinfo=UTC)
JANUARY = datetime(2027, 1, 2, 0, 1, tzinfo=UTC)
PER_GB = {"model": "PER_UNIT", "unit_amount": "0.10"}
IN_SYDNEY = {"model": "PER_UNIT", "unit_amount": "1"}
FEE = {"model": "FLAT", "amount": "29.00", "timing": "ARREARS"}


async def an_explained_acme(runtime: Runtime) -> Organization:
    """Egress at 0.10, in syd at 1.00; 29.00 a month in arrears."""
    async with runtime.sessions.begin() as session:
        meter = await a_meter(session)
        plan = await a_plan(session)
        await a_price(session, plan, PER_GB, meter=meter, slug="egress")
        sydney = {"region": ["syd"]}
        await a_price(session, plan, IN_SYDNEY, meter=meter, slug="sydney", filters=sydney)
        await a_price(session, plan, FEE, slug="base")
        org = await an_organization(session, key="acme")
        await subscribed(session, org, plan)
    return org


async def send(
    runtime: Runtime, event_id: str, value: str, at: datetime, *, app: str = "api", region: str = ""
) -> None:
    """One event of egress, through the front door."""
    event = incoming_event(
        id=event_id,
        source="test",
        type="egress_gb",
        subject="acme",
        time=at,
        data={"value": value, "app": app} | ({"region": region} if region else {}),
    )
    now = await runtime.now()
    [verdict] = await record_usage(runtime, [event], viewer=COMMAND_LINE, now=now)
    assert verdict.verdict == "ACCEPTED", verdict


async def void(runtime: Runtime, *event_ids: str) -> None:
    """Sent by mistake."""
    await void_usage(
        runtime,
        [VoidRequest("acme", "test", event_id) for event_id in event_ids],
        reason="sent twice",
        viewer=COMMAND_LINE,
        now=await runtime.now(),
    )


async def close(runtime: Runtime, clock: Clock, at: datetime) -> None:
    """All that is due by then."""
    clock.at = at
    report = await close_due(runtime)
    assert (report.held, report.failed) == (0, [])


async def reread(runtime: Runtime) -> Organization:
    """Acme as it is now."""
    async with runtime.sessions() as session:
        return (await session.scalars(select(Organization))).one()
