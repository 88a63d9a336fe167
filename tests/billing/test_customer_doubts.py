"""Whom Stripe knows by an old address is found all the same, and not made twice."""

from datetime import timedelta

from sqlalchemy import update

from billing.invoice_sync import push_due
from billing.models import InvoiceSync, Organization, SyncState, SyncStep
from billing.runtime import Runtime
from billing.stripe_protocol import Customer
from sandbox.stripe.app import FakeStripe
from sandbox.stripe.chaos import Fault, Switch
from tests.billing.pushing import an_issued_invoice, held, until_pushed
from tests.billing.test_customers import change
from tests.billing.test_stripe_events import a_pushed_invoice
from tests.billing.voiding import org_of, void
from tests.world import Clock

CREATE = "POST /v1/customers"


async def test_an_address_that_changed_while_a_customer_was_made_makes_no_second_one(
    connected: Runtime, fake: FakeStripe, clock: Clock
) -> None:
    invoice_id = await an_issued_invoice(connected)
    fake.world.chaos.turn_on(Fault.TIMEOUT_AFTER_COMMIT, Switch(operation=CREATE, calls=1))
    await push_due(connected)  # Stripe has it, and we have not heard so
    org, _ = await org_of(connected, invoice_id)
    assert org.stripe_customer_id is None
    clock.advance(timedelta(minutes=5))
    assert await change(connected, org, billing_email="new@acme.example")

    sync = await until_pushed(connected, clock, invoice_id)

    assert sync.state is SyncState.PUSHED
    (customer,) = fake.world.customers
    assert held(fake)[0].customer == customer.id
    org, _ = await org_of(connected, invoice_id)
    assert org.stripe_customer_id == customer.id


async def test_after_a_restored_backup_voiding_finds_what_an_old_address_was_billed(
    connected: Runtime, fake: FakeStripe, clock: Clock
) -> None:
    """Void here and open in Stripe would be collected from somebody who owes nothing."""
    invoice_id, _ = await a_pushed_invoice(connected)
    clock.advance(timedelta(days=2))
    async with connected.sessions.begin() as session:
        await session.execute(update(Organization).values(stripe_customer_id=None))
        await session.execute(
            update(InvoiceSync).values(
                state=SyncState.PENDING,
                step=SyncStep.NEW,
                stripe_invoice_id=None,
                keyed_at=None,
                pushed_at=None,
                next_attempt_at=clock.at,
            )
        )
        await session.execute(update(Organization).values(billing_email="new@acme.example"))

    await void(connected, invoice_id)

    assert [invoice.status for invoice in held(fake)] == ["void"]


async def test_the_oldest_that_carries_our_id_is_taken_and_nobody_elses(
    connected: Runtime, fake: FakeStripe, clock: Clock
) -> None:
    wanted = Customer(organization_id="0199-a", name="Acme", email="a@acme.example")
    other = Customer(organization_id="0199-b", name="Acme", email="a@acme.example")
    oldest = await connected.stripe.create_customer(wanted, "k1")
    clock.advance(timedelta(minutes=2))
    await connected.stripe.create_customer(wanted, "k2")
    await connected.stripe.create_customer(other, "k3")
    clock.advance(timedelta(minutes=2))

    moved = Customer(organization_id="0199-a", name="Acme", email="b@acme.example")
    assert await connected.stripe.find_customer(moved) == oldest
    assert await connected.stripe.find_customer(wanted) == oldest
    unknown = Customer(organization_id="0199-c", name="Acme", email="a@acme.example")
    assert await connected.stripe.find_customer(unknown) is None
