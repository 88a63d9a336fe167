import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest
from sqlalchemy import update

from billing.errors import Conflict
from billing.ids import InvoiceId
from billing.invoice_sync import push_due, retry_push
from billing.invoice_sync.push import LINES_PER_CALL_MAX
from billing.invoices import issue, sync_health
from billing.models import (
    Invoice,
    InvoiceKind,
    InvoiceStatus,
    InvoiceSync,
    Organization,
    SyncState,
)
from billing.rules.invoicing import draft_of, one_off_line
from billing.rules.money import Currency, Money
from billing.rules.periods import Period
from billing.runtime import Runtime
from billing.stripe_protocol import Stripe
from sandbox.stripe.app import FakeStripe
from sandbox.stripe.chaos import Fault, Switch
from sandbox.stripe.records import Invoice as StripeRecord
from tests.factories import an_organization
from tests.world import NOVEMBER_10, Clock

NOVEMBER = Period(datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC))
CREATE = "POST /v1/invoices"
ADD_LINES = "POST /v1/invoices/{invoice}/add_lines"
FINALIZE = "POST /v1/invoices/{invoice}/finalize"
STEPS = (CREATE, ADD_LINES, FINALIZE)


async def an_issued_invoice(
    runtime: Runtime, *amounts: int, org: Organization | None = None
) -> InvoiceId:
    """An OPEN invoice with one line for each amount, waiting to be pushed."""
    async with runtime.sessions.begin() as session:
        org = org or await an_organization(session)
        lines = [
            one_off_line(f"item-{i}", f"Item {i}", Money(minor, Currency.USD), NOVEMBER_10)
            for i, minor in enumerate(amounts or (594, 2900))
        ]
        invoice = Invoice(
            org_id=org.id,
            kind=InvoiceKind.PERIOD,
            status=InvoiceStatus.CLOSING,
            period_start=NOVEMBER.start,
            period_end=NOVEMBER.end,
            closes_at=NOVEMBER.end,
            currency=Currency.USD,
            recorded_at=NOVEMBER_10,
        )
        session.add(invoice)
        await session.flush()
        draft = draft_of(org.key, NOVEMBER, Currency.USD, lines)
        await issue(session, invoice, draft, {}, await runtime.now())
    return invoice.id


async def sync_of(runtime: Runtime, invoice_id: InvoiceId) -> InvoiceSync:
    async with runtime.sessions() as session:
        return await session.get_one(InvoiceSync, invoice_id)


def held(fake: FakeStripe) -> list[StripeRecord]:
    """What the fake holds, drafts too."""
    return list(fake.world.invoices)


def calls(fake: FakeStripe, *operations: str) -> int:
    return sum(fake.world.calls[operation] for operation in operations)


async def until_pushed(runtime: Runtime, clock: Clock, invoice_id: InvoiceId) -> InvoiceSync:
    """Let retries fall due until nothing is left to do."""
    for _ in range(30):
        await push_due(runtime)
        sync = await sync_of(runtime, invoice_id)
        if sync.state not in {SyncState.PENDING, SyncState.PUSHING}:
            return sync
        clock.at = max(clock.at, sync.next_attempt_at)
    raise AssertionError(f"still {sync.state}: {sync.error_message}")


def assert_exactly_once(fake: FakeStripe, invoice_id: InvoiceId, total: int, lines: int) -> None:
    ours = [x for x in held(fake) if x.metadata.get("invoice_id") == str(invoice_id)]
    assert [(x.status, x.total, len(x.lines)) for x in ours] == [("open", total, lines)]


@pytest.mark.parametrize("count", [1, LINES_PER_CALL_MAX, LINES_PER_CALL_MAX + 1, 250])
async def test_a_push_takes_two_calls_and_one_for_each_hundred_lines(
    connected: Runtime, fake: FakeStripe, count: int
) -> None:
    invoice_id = await an_issued_invoice(connected, *[100] * count)
    await push_due(connected)

    assert (await sync_of(connected, invoice_id)).state is SyncState.PUSHED
    assert_exactly_once(fake, invoice_id, 100 * count, count)
    assert calls(fake, *STEPS) == 2 + -(-count // LINES_PER_CALL_MAX)


async def test_what_is_pushed_is_not_pushed_again(connected: Runtime, fake: FakeStripe) -> None:
    await an_issued_invoice(connected)
    await push_due(connected)
    before = fake.world.calls.total()

    assert await push_due(connected) == 0
    assert fake.world.calls.total() == before


@pytest.mark.parametrize("operation", STEPS)
@pytest.mark.parametrize(
    "fault",
    [
        Fault.DOWN,
        Fault.RATE_LIMIT,
        Fault.TIMEOUT_AFTER_COMMIT,
        Fault.ERROR_BEFORE_COMMIT,
        Fault.ERROR_AFTER_COMMIT,
    ],
)
async def test_any_fault_at_any_step_ends_in_one_invoice_with_our_total(
    connected: Runtime, fake: FakeStripe, clock: Clock, operation: str, fault: Fault
) -> None:
    invoice_id = await an_issued_invoice(connected)
    fake.world.chaos.turn_on(fault, Switch(operation=operation, calls=1))

    sync = await until_pushed(connected, clock, invoice_id)

    assert sync.state is SyncState.PUSHED
    assert_exactly_once(fake, invoice_id, 3494, 2)


@pytest.mark.parametrize("operation", STEPS)
async def test_a_key_that_stripe_has_forgotten_does_not_bill_twice(
    connected: Runtime, fake: FakeStripe, clock: Clock, operation: str
) -> None:
    invoice_id = await an_issued_invoice(connected)
    fake.world.chaos.turn_on(Fault.TIMEOUT_AFTER_COMMIT, Switch(operation=operation, calls=1))
    await push_due(connected)
    clock.advance(timedelta(hours=25))

    await until_pushed(connected, clock, invoice_id)

    assert_exactly_once(fake, invoice_id, 3494, 2)


async def test_a_restored_backup_does_not_bill_twice(
    connected: Runtime, fake: FakeStripe, clock: Clock
) -> None:
    invoice_id = await an_issued_invoice(connected)
    async with connected.sessions() as session:
        backup = await session.get_one(InvoiceSync, invoice_id)
    await push_due(connected)
    clock.advance(timedelta(hours=25))
    async with connected.sessions.begin() as session:
        await session.execute(
            update(InvoiceSync).values(
                state=backup.state, step=backup.step, keyed_at=None, stripe_invoice_id=None
            )
        )
    sync = await until_pushed(connected, clock, invoice_id)

    assert sync.state is SyncState.PUSHED
    assert_exactly_once(fake, invoice_id, 3494, 2)


class Crash(Exception):
    """The worker died here."""


class Dying:
    """Stripe through a worker that dies at the nth call: before it, or before its answer."""

    def __init__(self, inner: Stripe, at: int, *, after: bool) -> None:
        self._inner = inner
        self._left = at
        self._after = after

    def __getattr__(self, name: str) -> object:
        call = getattr(self._inner, name)

        async def dying(*args: object) -> object:
            self._left -= 1
            if self._left == 0 and not self._after:
                raise Crash
            answer = await call(*args)
            if self._left == 0:
                raise Crash
            return answer

        return dying


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at", [1, 2, 3, 4])
@pytest.mark.parametrize("hours", [0, 25])
async def test_a_worker_may_die_at_any_call(
    connected: Runtime, fake: FakeStripe, clock: Clock, at: int, after: bool, hours: int
) -> None:
    invoice_id = await an_issued_invoice(connected)
    dying = replace(connected, stripe=cast(Stripe, Dying(connected.stripe, at, after=after)))
    with pytest.raises(ExceptionGroup) as died:
        await push_due(dying)
    assert died.group_contains(Crash)
    assert await push_due(connected) == 0, "its lease has not run out"

    clock.advance(timedelta(hours=hours, minutes=3))
    await until_pushed(connected, clock, invoice_id)

    assert_exactly_once(fake, invoice_id, 3494, 2)
    if hours == 0:
        assert len(list(fake.world.customers)) == 1


async def test_two_workers_share_the_queue(connected: Runtime, fake: FakeStripe) -> None:
    ids = [await an_issued_invoice(connected) for _ in range(12)]

    await asyncio.gather(*(push_due(connected) for _ in range(3)))

    for invoice_id in ids:
        assert_exactly_once(fake, invoice_id, 3494, 2)
    assert calls(fake, *STEPS) == 3 * len(ids)


async def test_a_total_that_is_not_ours_is_never_finalized(
    connected: Runtime, fake: FakeStripe, clock: Clock
) -> None:
    invoice_id = await an_issued_invoice(connected)
    fake.world.chaos.turn_on(Fault.DOWN, Switch(operation=FINALIZE, calls=1))
    fake.world.chaos.turn_on(Fault.TIMEOUT_AFTER_COMMIT, Switch(operation=ADD_LINES, calls=1))
    await push_due(connected)
    (draft,) = held(fake)
    draft.lines[0].amount += 1
    clock.advance(timedelta(hours=25))
    await push_due(connected)

    sync = await sync_of(connected, invoice_id)
    assert (sync.state, sync.error_code) == (SyncState.HELD, "STRIPE_MISMATCH")
    assert sync.error_message == "Stripe's total is 3495, ours 3494 minor units."
    assert calls(fake, FINALIZE) == 0


async def test_what_stripe_refuses_is_shown_and_not_tried_again(
    connected: Runtime, fake: FakeStripe
) -> None:
    invoice_id = await an_issued_invoice(connected)
    async with connected.sessions.begin() as session:
        await session.execute(update(Organization).values(stripe_customer_id="cus_of_nobody"))
    await push_due(connected)

    sync = await sync_of(connected, invoice_id)
    assert (sync.state, sync.error_code) == (SyncState.FAILED, "STRIPE_REFUSED")
    assert "cus_of_nobody" in str(sync.error_message)
    assert await push_due(connected) == 0


async def test_a_stopped_invoice_is_tried_again_when_staff_say_so(
    connected: Runtime, fake: FakeStripe
) -> None:
    invoice_id = await an_issued_invoice(connected)
    async with connected.sessions.begin() as session:
        await session.execute(update(Organization).values(stripe_customer_id="cus_of_nobody"))
        invoice = await session.get_one(Invoice, invoice_id)
    await push_due(connected)
    async with connected.sessions.begin() as session:
        await session.execute(update(Organization).values(stripe_customer_id=None))
        await retry_push(session, str(invoice.number), actor="cli", now=NOVEMBER_10)
    await push_due(connected)

    assert_exactly_once(fake, invoice_id, 3494, 2)
    async with connected.sessions.begin() as session:
        with pytest.raises(Conflict, match="is PUSHED"):
            await retry_push(session, str(invoice.number), actor="cli", now=NOVEMBER_10)


async def test_an_outage_costs_nothing_but_time(
    connected: Runtime, fake: FakeStripe, clock: Clock
) -> None:
    invoice_id = await an_issued_invoice(connected)
    fake.world.chaos.turn_on(Fault.DOWN)
    for _ in range(5):
        await push_due(connected)
        clock.advance(timedelta(minutes=10))
    async with connected.sessions() as session:
        health = await sync_health(session, clock.at)
    assert (health.waiting, health.is_delayed) == (1, True)
    assert health.oldest_waiting_since == NOVEMBER_10

    fake.world.chaos.turn_off(Fault.DOWN)
    sync = await until_pushed(connected, clock, invoice_id)
    assert sync.error_code is None
    assert_exactly_once(fake, invoice_id, 3494, 2)


async def test_being_limited_costs_no_attempt(
    connected: Runtime, fake: FakeStripe, clock: Clock
) -> None:
    invoice_id = await an_issued_invoice(connected)
    fake.world.chaos.turn_on(Fault.RATE_LIMIT, Switch(calls=3))
    for _ in range(3):
        await push_due(connected)
        clock.advance(timedelta(seconds=5))

    sync = await sync_of(connected, invoice_id)
    assert (sync.attempts, sync.error_code) == (0, "STRIPE_RATE_LIMITED")


async def test_stripe_gets_no_usage_and_no_name_but_the_customers(
    connected: Runtime, fake: FakeStripe
) -> None:
    await an_issued_invoice(connected)
    await push_due(connected)

    (invoice,) = held(fake)
    assert set(invoice.metadata) == {"invoice_id", "rev", "number", "total_minor"}
    assert all(set(line.metadata) == {"line_id", "kind"} for line in invoice.lines)
