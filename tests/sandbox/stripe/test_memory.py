"""What the fake remembers in a sandbox's database, over its own restart."""

from typing import Any

import pytest

from sandbox.stripe.memory import Memory
from sandbox.stripe.world import World
from tests.sandbox.stripe.conftest import Stage


@pytest.fixture
async def memory(migrated_url: str) -> Memory:
    memory = Memory(migrated_url)
    await memory.keep(World())
    return memory


async def test_an_account_goes_on_where_it_was(stage: Stage, memory: Memory) -> None:
    invoice = await stage.an_open_invoice(1200)
    await memory.keep(stage.world)

    recalled = await memory.recall()
    assert recalled
    stage.fake.world = recalled
    assert (await stage.fetched(invoice)).status == "open"
    await stage.pass_time(seconds=10)
    assert (await stage.fetched(invoice)).status == "paid"
    assert await stage.a_customer() not in {x.id for x in list(stage.world.customers)[1:]}


async def test_a_key_is_still_known_after_a_restart(stage: Stage, memory: Memory) -> None:
    options: Any = {"idempotency_key": "once"}
    first = await stage.client.v1.customers.create_async({"name": "Acme"}, options)
    await memory.keep(stage.world)
    stage.fake.world = await memory.recall() or World()

    again = await stage.client.v1.customers.create_async({"name": "Acme"}, options)
    assert again.id == first.id
    assert len(stage.world.customers) == 1
