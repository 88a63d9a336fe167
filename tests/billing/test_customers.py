"""Names and addresses of organizations, pushed to Stripe's customers."""

import asyncio
from datetime import timedelta

import pytest

from billing.accounts import change_organization, get_organization
from billing.customers import push_customers_due, stuck_customers
from billing.errors import Invalid
from billing.models import CustomerUpdate, Invoice, Organization
from billing.runtime import Runtime
from sandbox.stripe.app import FakeStripe
from sandbox.stripe.chaos import Fault, Switch
from tests.billing.test_stripe_events import a_pushed_invoice
from tests.world import Clock

UPDATE = "POST /v1/customers/{customer}"


async def a_known_organization(runtime: Runtime) -> Organization:
    """Stripe has its customer, for it has been sent an invoice."""
    invoice_id, _ = await a_pushed_invoice(runtime)
    async with runtime.sessions() as session:
        invoice = await session.get_one(Invoice, invoice_id)
        return await session.get_one(Organization, invoice.org_id)


async def change(runtime: Runtime, org: Organization, **others: str) -> bool:
    async with runtime.sessions.begin() as session:
        now = await runtime.now()
        held = await get_organization(session, org.slug)
        return await change_organization(session, held, **others, actor="test", now=now)


def customer(fake: FakeStripe) -> tuple[str, str]:
    (record,) = fake.world.customers
    return record.details["name"], record.details["email"]


async def test_a_new_name_and_address_reach_stripe_once(
    connected: Runtime, fake: FakeStripe
) -> None:
    org = await a_known_organization(connected)
    assert await change(connected, org, name="Acme Inc.", billing_email="Money@Acme.example")
    assert await change(connected, org, name="Acme Ltd.")
    assert await push_customers_due(connected) == 1
    assert await push_customers_due(connected) == 0

    assert customer(fake) == ("Acme Ltd.", "money@acme.example")
    assert fake.world.calls[UPDATE] == 1


async def test_what_is_the_same_is_no_change(connected: Runtime, fake: FakeStripe) -> None:
    org = await a_known_organization(connected)

    assert not await change(connected, org, name=org.name, billing_email=org.billing_email)
    assert await push_customers_due(connected) == 0


async def test_bad_names_and_addresses_change_nothing(connected: Runtime) -> None:
    org = await a_known_organization(connected)
    for wrong, code in (
        ({"name": " "}, "INVALID_NAME"),
        ({"name": "a\0"}, "INVALID_NAME"),
        ({"billing_email": "nobody"}, "INVALID_EMAIL"),
    ):
        with pytest.raises(Invalid) as refusal:
            await change(connected, org, **wrong)
        assert refusal.value.code == code
    assert await push_customers_due(connected) == 0


async def test_whom_stripe_does_not_know_yet_waits_for_the_first_invoice(
    connected: Runtime, fake: FakeStripe
) -> None:
    """A customer may be in the making, of the old name: the note stays until it is there."""
    org = await a_known_organization(connected)
    async with connected.sessions.begin() as session:
        held = await session.get_one(Organization, org.id)
        known, held.stripe_customer_id = held.stripe_customer_id, None
    await change(connected, org, name="Acme Inc.")
    assert await push_customers_due(connected) == 0
    async with connected.sessions.begin() as session:
        (await session.get_one(Organization, org.id)).stripe_customer_id = known

    assert await push_customers_due(connected) == 1
    assert customer(fake)[0] == "Acme Inc."


async def test_while_stripe_is_down_it_is_tried_again_and_staff_see_it(
    connected: Runtime, fake: FakeStripe, clock: Clock
) -> None:
    org = await a_known_organization(connected)
    await change(connected, org, name="Acme Inc.")
    fake.world.chaos.turn_on(Fault.DOWN, Switch(operation=UPDATE, calls=1))
    assert await push_customers_due(connected) == 1
    async with connected.sessions() as session:
        ((stuck, wanted),) = await stuck_customers(session, limit=10)
    assert (stuck.slug, wanted.error_code, wanted.attempts) == (org.slug, "STRIPE_DOWN", 1)

    clock.advance(timedelta(minutes=1))
    assert await push_customers_due(connected) == 1
    async with connected.sessions() as session:
        assert await stuck_customers(session, limit=10) == []
    assert customer(fake)[0] == "Acme Inc."


async def test_two_workers_send_a_change_once_and_one_meanwhile_is_not_lost(
    connected: Runtime, fake: FakeStripe
) -> None:
    org = await a_known_organization(connected)
    await change(connected, org, name="Acme Inc.")
    await asyncio.gather(*(push_customers_due(connected) for _ in range(3)))
    assert fake.world.calls[UPDATE] == 1

    await change(connected, org, name="Acme Ltd.")
    async with connected.sessions.begin() as session:  # a worker that is just sending the first
        (await session.get_one(CustomerUpdate, org.id)).pushed_revision = 1
    assert await push_customers_due(connected) == 1
    assert customer(fake)[0] == "Acme Ltd."
