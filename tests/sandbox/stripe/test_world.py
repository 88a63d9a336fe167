"""The account as a value: it can be put away and taken up again."""

import pickle
from datetime import timedelta
from typing import Any

from sandbox.stripe.app import FakeStripe
from sandbox.stripe.idempotency import Attempt, Replays
from sandbox.stripe.server import serving
from sandbox.stripe.world import World
from tests.sandbox.stripe.conftest import Receiver, Stage, client_of


async def test_a_restored_account_goes_on_where_it_was(stage: Stage, receiver: Receiver) -> None:
    customer = await stage.a_customer()
    invoice = await stage.an_open_invoice(500, customer=customer)
    made = await stage.client.v1.customers.create_async({}, {"idempotency_key": "k"})

    restored = FakeStripe(pickle.loads(pickle.dumps(stage.world)), stage.clock)
    async with serving(restored) as url, client_of(url) as client:
        again = await client.v1.customers.create_async({}, {"idempotency_key": "k"})
        assert again.id == made.id
        listed = await client.v1.invoices.list_async({"customer": customer})
        assert [each.id for each in listed.data] == [invoice.id]
        await restored.run_due(stage.clock.advance(timedelta(seconds=5)))
        assert (await client.v1.invoices.retrieve_async(invoice.id)).status == "paid"
    assert len(receiver.arrived) == len(restored.world.events)


def test_a_key_whose_request_died_with_the_process_is_free_again() -> None:
    replays = Replays()
    assert replays.begin("k", Attempt("/v1/customers", b"{}"), now=0) is None

    restored = pickle.loads(pickle.dumps(replays))
    assert restored.begin("k", Attempt("/v1/customers", b"{}"), now=1) is None


async def test_an_account_that_an_older_version_kept_is_taken_up(stage: Stage) -> None:
    """One from before discounts and thin events: its records lack what those brought."""
    customer = await stage.a_customer()
    unknown_then = ("discount", "object_kind", "object_id")

    def as_then(record: Any) -> Any:
        _, state = record.__reduce_ex__(2)[2]
        older = object.__new__(type(record))
        older.__setstate__((None, {k: v for k, v in state.items() if k not in unknown_then}))
        return older

    older = World(ids=stage.world.ids)
    older.customers.add(as_then(stage.world.customers.find(customer)))
    older.events.add(as_then(next(iter(stage.world.events))))
    stage.fake.world = older

    assert (await stage.client.v1.customers.retrieve_async(customer)).discount is None
    (thin,) = (await stage.client.v2.core.events.list_async()).data
    assert thin.to_dict()["related_object"]["id"] == customer
