"""A customer that somebody deleted in Stripe is made anew, not billed in vain for ever."""

from datetime import timedelta

from billing.invoice_sync import push_due, retry_push
from billing.models import Outcome, SyncState
from billing.runtime import Runtime
from billing.stripe_events import handle_due
from sandbox.stripe.app import FakeStripe
from sandbox.stripe.records import Customer
from tests.billing.pushing import an_issued_invoice, held, sync_of, until_pushed
from tests.billing.test_stripe_events import a_pushed_invoice, hear, outcomes, told
from tests.billing.voiding import org_of
from tests.world import Clock


def customers(fake: FakeStripe) -> list[Customer]:
    return list(fake.world.customers)


async def test_a_deleted_customer_is_forgotten_and_made_anew(
    connected: Runtime, fake: FakeStripe, clock: Clock
) -> None:
    invoice_id, _ = await a_pushed_invoice(connected)
    org, _ = await org_of(connected, invoice_id)
    clock.advance(timedelta(days=30))
    (deleted,) = customers(fake)
    deleted.deleted = True
    next_id = await an_issued_invoice(connected, org=org, months_before=1)
    await push_due(connected)
    assert (await sync_of(connected, next_id)).state is SyncState.FAILED

    await hear(connected, told("customer.deleted", deleted.id))
    await handle_due(connected)
    assert (Outcome.PROCESSED, "the customer is deleted: made anew") in await outcomes(connected)
    _, number = await org_of(connected, next_id)
    async with connected.sessions.begin() as session:
        await retry_push(session, number, actor="test", now=clock.at)

    assert (await until_pushed(connected, clock, next_id)).state is SyncState.PUSHED
    (anew,) = customers(fake)
    assert held(fake)[0].customer == anew.id
    assert (await org_of(connected, next_id))[0].stripe_customer_id == anew.id


async def test_the_word_of_an_event_deletes_nobody(connected: Runtime, fake: FakeStripe) -> None:
    invoice_id, _ = await a_pushed_invoice(connected)
    (customer,) = customers(fake)
    await hear(connected, told("customer.deleted", customer.id), told("customer.deleted", "cus_x"))
    await handle_due(connected)

    assert (await org_of(connected, invoice_id))[0].stripe_customer_id == customer.id
    assert {reason for _, reason in await outcomes(connected)} == {
        "the customer is there",
        "not a customer of ours",
    }
