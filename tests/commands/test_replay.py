"""`stripe-sync replay quarantine`."""

import json

import pytest

from billing.runtime import Runtime, Sessions
from billing.usage import parse_event, record_usage
from tests.billing.usage.conftest import a_key, an_event
from tests.commands.conftest import StripeSync
from tests.factories import a_meter, an_organization


@pytest.fixture
async def refused(runtime: Runtime, sessions: Sessions) -> Runtime:
    """Two events of a meter that was forgotten, one of each organization; one without hope."""
    async with sessions.begin() as session:
        await an_organization(session, key="acme")
        await an_organization(session, key="globex")
        await a_meter(session, "egress_gb")
    events = [
        an_event(id="a", type="storage_gb"),
        an_event(id="b", type="storage_gb", subject="globex"),
        an_event(id="c", data={"value": "-1"}),
    ]
    await record_usage(
        runtime, [parse_event(event) for event in events], viewer=a_key(), now=await runtime.now()
    )
    async with sessions.begin() as session:
        await a_meter(session, "storage_gb")
    return runtime


async def test_what_was_mended_is_counted(refused: Runtime, stripe_sync: StripeSync) -> None:
    dry = await stripe_sync("replay", "quarantine", "--dry-run")
    first = await stripe_sync("replay", "quarantine", "--json")
    again = await stripe_sync("replay", "quarantine", "--json")

    assert dry.stdout == "2 would be counted, 0 were counted before, 1 still refused.\n"
    assert json.loads(first.stdout) == {
        "counted": 2,
        "duplicates": 0,
        "still_refused": 1,
        "dry_run": False,
    }
    assert json.loads(again.stdout)["counted"] == 0


async def test_only_what_is_asked_for(refused: Runtime, stripe_sync: StripeSync) -> None:
    one = await stripe_sync("replay", "quarantine", "--org", "globex", "--code", "UNKNOWN_METER")
    nobody = await stripe_sync("replay", "quarantine", "--org", "nobody")

    assert one.stdout == "1 counted, 0 were counted before, 0 still refused.\n"
    assert nobody.exit_code == 1
    assert nobody.stderr.startswith("error: NOT_FOUND: ")
