"""Voiding acts in Stripe first, and leaves nothing half done wherever it is cut off."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from billing.errors import Invalid, NotFound, Unavailable
from billing.invoice_sync import push_due
from billing.models import InvoiceStatus, SyncState
from billing.runtime import Runtime
from billing.stripe_events import handle_due
from billing.voiding import PaidInvoice, VoidRefused, void_invoice
from sandbox.stripe.app import FakeStripe
from sandbox.stripe.chaos import Fault, Switch
from sandbox.stripe.records import Status
from tests.billing.pushing import (
    an_issued_invoice,
    calls,
    held,
    sync_of,
)
from tests.billing.test_push_doubts import through
from tests.billing.test_stripe_events import a_pushed_invoice, hear, outcomes, pay, told
from tests.billing.voiding import REASON, VOID, a_draft_there, acts, org_of, stored, void
from tests.world import Clock


async def test_an_invoice_that_stripe_has_never_heard_of_is_voided_here(
    connected: Runtime, fake: FakeStripe
) -> None:
    invoice_id = await an_issued_invoice(connected)
    answered = await void(connected, invoice_id)

    invoice, sync = await stored(connected, invoice_id)
    assert (answered.status, invoice.status, invoice.void_reason) == (
        InvoiceStatus.VOID,
        InvoiceStatus.VOID,
        REASON,
    )
    assert invoice.voided_at == await connected.now()
    assert sync.state is SyncState.NOT_NEEDED
    assert await push_due(connected) == 0
    assert fake.world.calls.total() == 0
    assert await acts(connected) == 1


async def test_a_draft_is_deleted(connected: Runtime, fake: FakeStripe, clock: Clock) -> None:
    invoice_id = await a_draft_there(connected, fake)
    await void(connected, invoice_id)

    clock.advance(timedelta(days=1))
    assert await push_due(connected) == 0
    assert held(fake) == []
    assert (await sync_of(connected, invoice_id)).state is SyncState.NOT_NEEDED


async def test_an_open_invoice_is_voided_there_too(connected: Runtime, fake: FakeStripe) -> None:
    invoice_id, _ = await a_pushed_invoice(connected)
    await void(connected, invoice_id)
    await void(connected, invoice_id)

    assert [x.status for x in held(fake)] == [Status.VOID]
    invoice, sync = await stored(connected, invoice_id)
    assert (invoice.status, sync.state) == (InvoiceStatus.VOID, SyncState.PUSHED)
    assert (calls(fake, VOID), await acts(connected)) == (1, 1)


@pytest.mark.parametrize("told_first", [False, True])
async def test_a_paid_invoice_is_refused_and_credit_notes_are_named(
    connected: Runtime, fake: FakeStripe, clock: Clock, told_first: bool
) -> None:
    invoice_id, stripe_id = await a_pushed_invoice(connected)
    await pay(fake, clock)
    if told_first:
        await hear(connected, told("invoice.paid", stripe_id))
        await handle_due(connected)

    with pytest.raises(PaidInvoice, match="credit note") as refused:
        await void(connected, invoice_id)
    assert refused.value.code == "PAID_INVOICE"
    assert calls(fake, VOID) == 0
    await hear(connected, told("invoice.paid", stripe_id))
    await handle_due(connected)
    assert (await stored(connected, invoice_id))[0].status is InvoiceStatus.PAID


async def test_one_that_is_paid_between_our_look_and_our_act_is_paid(
    connected: Runtime, fake: FakeStripe, clock: Clock
) -> None:
    invoice_id, _ = await a_pushed_invoice(connected)

    async def pay_first(call: Callable[..., object], *args: object) -> object:
        await pay(fake, clock)
        return await call(*args)  # type: ignore[misc] # awaitable

    with pytest.raises(PaidInvoice):
        await void(through(connected, "void_invoice", pay_first), invoice_id)
    assert (await stored(connected, invoice_id))[0].status is not InvoiceStatus.VOID


@pytest.mark.parametrize("fault", [Fault.DOWN, Fault.RATE_LIMIT, Fault.ERROR_AFTER_COMMIT])
async def test_while_stripe_fails_nothing_changes_and_trying_again_is_safe(
    connected: Runtime, fake: FakeStripe, fault: Fault
) -> None:
    invoice_id, _ = await a_pushed_invoice(connected)
    fake.world.chaos.turn_on(fault, Switch(calls=1, operation=VOID))
    with pytest.raises(Unavailable):
        await void(connected, invoice_id)
    assert (await stored(connected, invoice_id))[0].status is InvoiceStatus.OPEN
    assert await acts(connected) == 0

    await void(connected, invoice_id)
    assert [x.status for x in held(fake)] == [Status.VOID]
    assert (await stored(connected, invoice_id))[0].status is InvoiceStatus.VOID


@pytest.mark.parametrize("is_voidable", [False, True])
async def test_an_uncollectible_one_is_as_stripe_says(
    connected: Runtime, fake: FakeStripe, is_voidable: bool
) -> None:
    """The documentation says it may be voided, a recording says it may not."""
    invoice_id, stripe_id = await a_pushed_invoice(connected)
    (record,) = held(fake)
    record.status = Status.UNCOLLECTIBLE
    await hear(connected, told("invoice.marked_uncollectible", stripe_id))
    await handle_due(connected)

    async def obliging(call: Callable[..., object], *args: object) -> object:
        if is_voidable:
            record.status = Status.OPEN
        return await call(*args)  # type: ignore[misc] # awaitable

    runtime = through(connected, "void_invoice", obliging)
    if is_voidable:
        await void(runtime, invoice_id)
    else:
        with pytest.raises(VoidRefused, match="uncollectible there"):
            await void(runtime, invoice_id)
    expected = InvoiceStatus.VOID if is_voidable else InvoiceStatus.UNCOLLECTIBLE
    assert (await stored(connected, invoice_id))[0].status is expected


@pytest.mark.parametrize("arrives", ["before", "after", "between"])
async def test_stripes_own_word_of_it_is_harmless(
    connected: Runtime, fake: FakeStripe, arrives: str
) -> None:
    invoice_id, stripe_id = await a_pushed_invoice(connected)

    async def tell() -> None:
        await hear(connected, told("invoice.voided", stripe_id))
        await handle_due(connected)

    async def void_then_tell(call: Callable[..., object], *args: object) -> object:
        answer = await call(*args)  # type: ignore[misc] # awaitable
        await tell()
        return answer

    if arrives == "before":
        held(fake)[0].status = Status.VOID
        await tell()
    if arrives == "between":
        await void(through(connected, "void_invoice", void_then_tell), invoice_id)
    else:
        await void(connected, invoice_id)
    await tell()

    invoice, sync = await stored(connected, invoice_id)
    assert (invoice.status, sync.state, sync.error_code) == (
        InvoiceStatus.VOID,
        SyncState.PUSHED,
        None,
    )
    assert invoice.void_reason == (None if arrives == "before" else REASON)


async def test_the_word_of_a_deleted_draft_is_settled(connected: Runtime, fake: FakeStripe) -> None:
    invoice_id = await a_draft_there(connected, fake)
    stripe_id = str((await sync_of(connected, invoice_id)).stripe_invoice_id)
    await void(connected, invoice_id)
    await hear(connected, told("invoice.deleted", stripe_id))
    await handle_due(connected)

    ((_, reason),) = await outcomes(connected)
    assert reason == "its draft was deleted, for it is void"


async def test_what_is_void_here_does_not_come_back(
    connected: Runtime, fake: FakeStripe, clock: Clock
) -> None:
    invoice_id, stripe_id = await a_pushed_invoice(connected)
    await void(connected, invoice_id)
    held(fake)[0].status = Status.OPEN
    await hear(connected, told("invoice.updated", stripe_id))
    await handle_due(connected)

    invoice, sync = await stored(connected, invoice_id)
    assert (invoice.status, sync.state) == (InvoiceStatus.VOID, SyncState.HELD)


async def test_bad_input_is_refused(connected: Runtime) -> None:
    invoice_id = await an_issued_invoice(connected)
    org, number = await org_of(connected, invoice_id)
    other, _ = await org_of(connected, await an_issued_invoice(connected))
    with pytest.raises(NotFound):
        await void_invoice(connected, other, number, reason="x", actor="test")
    for reason in ("", "  ", "x" * 501):
        with pytest.raises(Invalid) as refused:
            await void_invoice(connected, org, number, reason=reason, actor="test")
        assert refused.value.code == "INVALID_REASON"
