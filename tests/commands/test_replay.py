"""`stripe-sync replay quarantine`, and of Stripe's events."""

import json

import pytest
from sqlalchemy import select, update

from billing.ids import InvoiceId
from billing.models import (
    AuditEntry,
    Invoice,
    InvoiceStatus,
    Outcome,
    PaymentFacts,
    StripeEvent,
)
from billing.runtime import Runtime, Sessions
from billing.usage import parse_event, record_usage
from sandbox.stripe.app import FakeStripe
from tests.billing.test_stripe_events import a_pushed_invoice, hear, pay, told
from tests.billing.usage.conftest import a_key, an_event
from tests.commands.conftest import StripeSync, on_the_tests_clock
from tests.factories import a_meter, an_organization
from tests.world import Clock


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


@pytest.fixture
async def unhandled(
    connected: Runtime, fake: FakeStripe, clock: Clock, environ: dict[str, str]
) -> tuple[InvoiceId, str]:
    """An invoice that is paid at Stripe, of which its two events were ignored by mistake."""
    invoice_id, stripe_id = await a_pushed_invoice(connected)
    await pay(fake, clock)
    await on_the_tests_clock(connected, environ, clock)
    wrong = {"handled_at": clock.at, "outcome": Outcome.FAILED, "reason": "a fault of ours"}
    await hear(connected, told("invoice.finalized", stripe_id, id="evt_a"))
    await hear(connected, told("invoice.paid", stripe_id, id="evt_b"))
    async with connected.sessions.begin() as session:
        await session.execute(update(StripeEvent).values(**wrong))
    return invoice_id, stripe_id


async def test_a_dry_run_tells_what_an_event_would_change_and_changes_nothing(
    connected: Runtime, unhandled: tuple[InvoiceId, str], stripe_sync: StripeSync
) -> None:
    invoice_id, stripe_id = unhandled
    text = await stripe_sync("replay", "evt_b", "--dry-run")
    dry = await stripe_sync("replay", "--since", "2026-11-01", "--dry-run", "--json")

    lines = text.stdout.splitlines()
    assert lines[0].startswith(f"{stripe_id} (")
    assert lines[0].endswith(": status OPEN → PAID")
    assert lines[-1] == "1 events would be replayed."
    answer = json.loads(dry.stdout)
    assert (answer["events"], len(answer["objects"])) == (2, 1)
    changed = {x["field"]: (x["before"], x["after"]) for x in answer["objects"][0]["changes"]}
    assert changed["status"] == ("OPEN", "PAID")
    assert changed["facts.amount_paid_minor"] == (None, 3494)
    async with connected.sessions() as session:
        assert (await session.get_one(Invoice, invoice_id)).status is InvoiceStatus.OPEN
        assert await session.get(PaymentFacts, invoice_id) is None
        events = (await session.scalars(select(StripeEvent))).all()
    assert {event.outcome for event in events} == {Outcome.FAILED}


async def test_a_range_is_replayed_and_then_nothing_is_left_to_change(
    connected: Runtime, unhandled: tuple[InvoiceId, str], stripe_sync: StripeSync
) -> None:
    invoice_id, _ = unhandled
    done = await stripe_sync("replay", "--since", "2026-11-01T00:00:00", "--json")
    again = await stripe_sync("replay", "evt_b", "--dry-run")

    assert json.loads(done.stdout)["events"] == 2
    assert "nothing changes" in again.stdout
    async with connected.sessions() as session:
        assert (await session.get_one(Invoice, invoice_id)).status is InvoiceStatus.PAID
        events = (await session.scalars(select(StripeEvent))).all()
        entry = await session.scalar(
            select(AuditEntry).where(AuditEntry.action == "stripe_events.replayed")
        )
    assert {event.outcome for event in events} == {Outcome.PROCESSED}
    assert entry is not None
    assert entry.subject == "2 events"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("replay", "evt_of_nobody"), "error: EVENT_NOT_FOUND: "),
        (("replay", "--since", "yesterday"), "Invalid value for '--since'"),
        (("replay", "events"), "Give the id of an event, or --since."),
        (("replay", "evt_a", "--since", "2026-11-01"), "Give the id of an event, or --since."),
    ],
)
async def test_what_cannot_be_replayed_is_refused(
    connected: Runtime, stripe_sync: StripeSync, arguments: tuple[str, ...], words: str
) -> None:
    refused = await stripe_sync(*arguments)

    assert refused.exit_code != 0
    assert words in refused.stderr
