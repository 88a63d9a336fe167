"""What has gone wrong for others on the way to Stripe, each as a test of ours."""

import msgspec

from billing import stripe_events
from billing.estimates import current_estimate
from billing.invoice_sync import push_due
from billing.invoices import invoices_for_org
from billing.models import Invoice, InvoiceStatus, Organization, SyncState
from billing.runtime import Runtime
from sandbox.stripe.app import FakeStripe
from sandbox.stripe.chaos import Fault, Switch
from sandbox.stripe.coupons import Coupon, Discount
from sandbox.stripe.event_body import snapshot
from sandbox.stripe.world import unix
from tests.billing.pushing import (
    FINALIZE,
    an_issued_invoice,
    assert_exactly_once,
    held,
    sync_of,
    until_pushed,
)
from tests.factories import an_organization
from tests.world import Clock


async def an_organization_in_stripe(runtime: Runtime, months_before: int = 1) -> Organization:
    """One whose customer is there, for its first invoice has been pushed."""
    async with runtime.sessions.begin() as session:
        org = await an_organization(session)
    await an_issued_invoice(runtime, org=org, months_before=months_before)
    await push_due(runtime)
    return org


async def test_what_a_credit_at_stripe_pays_at_once_is_paid_here_too(
    connected: Runtime, fake: FakeStripe, clock: Clock
) -> None:
    """A push that went on to collect would be refused, and left as failed."""
    org = await an_organization_in_stripe(connected)
    [customer] = fake.world.customers
    customer.balance, customer.currency = -1_000_000, "usd"
    invoice_id = await an_issued_invoice(connected, 1000, org=org)

    sync = await until_pushed(connected, clock, invoice_id)
    async with connected.sessions.begin() as session:
        for event in fake.world.events:
            body = msgspec.json.decode(msgspec.json.encode(snapshot(event)))
            await stripe_events.receive(session, body, clock.at)
    await stripe_events.handle_due(connected)

    assert (sync.state, sync.error_code) == (SyncState.PUSHED, None)
    async with connected.sessions() as session:
        invoice = await session.get_one(Invoice, invoice_id)
    assert (invoice.status, invoice.total_minor) == (InvoiceStatus.PAID, 1000)


async def test_an_invoice_that_somebody_finalized_meanwhile_is_as_good(
    connected: Runtime, fake: FakeStripe, clock: Clock
) -> None:
    invoice_id = await an_issued_invoice(connected)
    fake.world.chaos.turn_on(Fault.RATE_LIMIT, Switch(operation=FINALIZE, calls=1))
    await push_due(connected)
    [draft] = held(fake)
    assert draft.status == "draft"
    stripe_id = (await sync_of(connected, invoice_id)).stripe_invoice_id
    assert stripe_id is not None
    await connected.stripe.finalize_invoice(stripe_id, "by hand")

    sync = await until_pushed(connected, clock, invoice_id)

    assert (sync.state, sync.error_code) == (SyncState.PUSHED, None)
    assert_exactly_once(fake, invoice_id, 3494, 2)


async def test_a_discount_that_somebody_gave_at_stripe_takes_nothing_off_our_total(
    connected: Runtime, fake: FakeStripe, clock: Clock
) -> None:
    """Invoices inherit a customer's discount unless they are told not to."""
    org = await an_organization_in_stripe(connected)
    [customer] = fake.world.customers
    customer.discount = Discount("di_1", Coupon(percent_off=10), unix(clock.at))
    invoice_id = await an_issued_invoice(connected, 1000, org=org)

    sync = await until_pushed(connected, clock, invoice_id)

    assert sync.state is SyncState.PUSHED
    assert_exactly_once(fake, invoice_id, 1000, 1)


async def test_no_figure_of_ours_asks_stripe(connected: Runtime, fake: FakeStripe) -> None:
    """A page that looked things up there, one by one, went down with Stripe's limit."""
    org = await an_organization_in_stripe(connected)
    before = fake.world.calls.total()
    async with connected.sessions() as session:
        await current_estimate(session, org, await connected.now())
        await invoices_for_org(session, org.id, limit=10)

    assert fake.world.calls.total() == before
