"""The fake as a program of its own, and its clockwork on real time."""

import pickle
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import httpx
import pytest
import stripe

from billing.clock import wall_clock
from sandbox.stripe.app import FakeStripe
from sandbox.stripe.ids import Ids
from sandbox.stripe.server import serving
from sandbox.stripe.snapshot_file import SnapshotFile
from sandbox.stripe.world import Knobs, World
from tests.sandbox.stripe.conftest import client_of


@contextmanager
def program(*arguments: str) -> Iterator[str]:
    command = [sys.executable, "-m", "sandbox.stripe", "--port", "0", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().split()[-1]
        finally:
            process.terminate()


async def first_customer(url: str) -> str:
    async with client_of(url) as client:
        return (await client.v1.customers.create_async({})).id


async def test_it_says_where_it_is_and_a_seed_repeats_its_ids() -> None:
    with program("--seed", "7") as url:
        made = await first_customer(url)
    async with serving(FakeStripe(World(ids=Ids(seed=7)))) as url:
        assert await first_customer(url) == made


def test_it_holds_invoices_and_keeps_limits_from_the_start() -> None:
    with (
        program("--invoices", "120", "--limits", "sandbox") as url,
        httpx.Client(base_url=url) as door,
    ):
        state = door.get("/_control").json()
    assert sum(state["invoices"].values()) == 120
    assert (state["limits"]["global_per_second"], state["limits"]["locks"]) == (25, True)


async def test_a_snapshot_is_left_at_the_end_and_taken_up_at_the_start(tmp_path: Path) -> None:
    file = tmp_path / "account"
    with program("--seed", "7", "--snapshot", str(file)) as url:
        first = await first_customer(url)
    assert file.stat().st_mode & 0o077 == 0

    with program("--seed", "7", "--snapshot", str(file)) as url:
        second = await first_customer(url)
        async with client_of(url) as client:
            listed = await client.v1.customers.list_async()
    assert [customer.id for customer in listed.data] == [second, first]


def test_a_snapshot_that_others_may_write_or_that_is_none_is_not_taken_up(tmp_path: Path) -> None:
    file = tmp_path / "account"
    assert SnapshotFile(file).recall() is None
    for content in (b"", b"hello", pickle.dumps({"world": 1})):
        file.write_bytes(content)
        file.chmod(0o600)
        with pytest.raises(ValueError, match="holds no account"):
            SnapshotFile(file).recall()
    file.chmod(0o666)
    with pytest.raises(PermissionError):
        SnapshotFile(file).recall()


async def test_it_hangs_up_on_its_own_event_loop_too() -> None:
    """The program runs on uvloop, whose transports are of another kind than asyncio's."""
    hook = "http://127.0.0.1:9/hook"
    with program("--webhook-url", hook, "--webhook-secret", "whsec_x") as url:
        async with httpx.AsyncClient(base_url=url, auth=("sk_test_x", "")) as client:
            await client.post("/_control", json={"timeout_after_commit": {"calls": 1}})
            with pytest.raises(httpx.TransportError):
                await client.post("/v1/customers")
            state = (await client.get("/_control")).json()
    assert state["customers"] == 1
    assert [endpoint["url"] for endpoint in state["webhook_endpoints"]] == [hook]


async def test_the_clockwork_collects_by_itself() -> None:
    world = World(knobs=Knobs(collection_delay_s=0))
    fake = FakeStripe(world, wall_clock, tick_s=0.01)
    async with serving(fake) as url, client_of(url) as client:
        customer = await client.v1.customers.create_async({})
        draft = await client.v1.invoices.create_async({"customer": customer.id})
        await client.v1.invoices.add_lines_async(draft.id, {"lines": [{"amount": 500}]})
        await client.v1.invoices.finalize_invoice_async(draft.id, {"auto_advance": True})

        with anyio.fail_after(5):
            while (await client.v1.invoices.retrieve_async(draft.id)).status != "paid":
                pass


async def test_a_synchronous_client_is_served_too() -> None:
    async with serving(FakeStripe()) as url:
        client = stripe.StripeClient("sk_test_x", base_addresses={"api": url})
        made = await anyio.to_thread.run_sync(client.v1.customers.create)
    assert made.id.startswith("cus_")
