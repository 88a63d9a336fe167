"""A fake Stripe on a clock set by hand, spoken to over real HTTP by the unmodified SDK."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx
import pytest
import stripe
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox.stripe.app import FakeStripe
from sandbox.stripe.chaos import Fault, Switch
from sandbox.stripe.ids import Ids
from sandbox.stripe.server import serving
from sandbox.stripe.webhooks import Endpoint
from sandbox.stripe.world import World
from tests.world import Clock

SECRET = "whsec_of_the_tests"


class Gate:
    """Where slow calls wait, until the test opens it."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.open = asyncio.Event()

    async def sleep(self, _: float) -> None:
        self.reached.set()
        await self.open.wait()

    async def inside(
        self, stage: "Stage", call: Coroutine[Any, Any, object]
    ) -> asyncio.Task[object]:
        """Start a call, and wait until it is under way; so it stays until the gate opens."""
        stage.world.chaos.turn_on(Fault.SLOW, Switch(calls=1))
        task = asyncio.create_task(call)
        await self.reached.wait()
        return task


@dataclass(slots=True)
class Stage:
    """A served fake, and a client of it."""

    fake: FakeStripe
    clock: Clock
    client: stripe.StripeClient
    url: str

    @property
    def world(self) -> World:
        return self.fake.world

    async def pass_time(self, **delta: int) -> None:
        """Move the clock on, and let the fake do what has fallen due."""
        await self.fake.run_due(self.clock.advance(timedelta(**delta)))

    async def a_customer(self, **wanted: Any) -> str:
        details: Any = {"name": "Acme", **wanted}
        return (await self.client.v1.customers.create_async(details)).id

    async def a_draft(self, *amounts: int, **wanted: Any) -> stripe.Invoice:
        """An invoice of a new customer, or of `customer`, with one line per amount."""
        details: Any = (
            wanted if "customer" in wanted else {"customer": await self.a_customer(), **wanted}
        )
        draft = await self.client.v1.invoices.create_async(details)
        if not amounts:
            return draft
        lines: Any = [{"amount": amount, "description": f"{amount}"} for amount in amounts]
        return await self.client.v1.invoices.add_lines_async(draft.id, {"lines": lines})

    async def an_open_invoice(self, *amounts: int, **wanted: Any) -> stripe.Invoice:
        """Finalized, and to be collected automatically."""
        draft = await self.a_draft(*amounts, **wanted)
        return await self.client.v1.invoices.finalize_invoice_async(
            draft.id, {"auto_advance": True}
        )

    async def fetched(self, invoice: stripe.Invoice) -> stripe.Invoice:
        return await self.client.v1.invoices.retrieve_async(invoice.id)

    async def order(self, **orders: Any) -> dict[str, Any]:
        """Say something at the control door, and see what is so then."""
        async with httpx.AsyncClient(base_url=self.url) as door:
            answer = await door.post("/_control", json=orders)
        assert answer.status_code == 200, answer.text
        state: dict[str, Any] = answer.json()
        return state

    async def event_types(self) -> list[str]:
        """Oldest first."""
        events = await self.client.v1.events.list_async({"limit": 100})
        return [event.type for event in reversed(events.data)]


@asynccontextmanager
async def client_of(url: str, key: str = "sk_test_x") -> AsyncIterator[stripe.StripeClient]:
    http = stripe.HTTPXClient(timeout=5)
    try:
        yield stripe.StripeClient(key, base_addresses={"api": url}, http_client=http)
    finally:
        await http.close_async()  # type: ignore[no-untyped-call] # the SDK's gap


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
async def stage(clock: Clock, gate: Gate) -> AsyncIterator[Stage]:
    fake = FakeStripe(World(ids=Ids(seed=1)), clock, sleep=gate.sleep)
    async with serving(fake) as url, client_of(url) as client:
        yield Stage(fake, clock, client, url)


@dataclass(slots=True)
class Receiver:
    """Where webhooks arrive: answers `status`, keeps payloads with their signature headers."""

    url: str = ""
    status: int = 200
    arrived: list[tuple[bytes, str]] = field(default_factory=list)

    async def receive(self, request: Request) -> Response:
        self.arrived.append((await request.body(), request.headers["Stripe-Signature"]))
        return Response(status_code=self.status)


@pytest.fixture
async def receiver(stage: Stage) -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = Starlette(routes=[Route("/hook", receiver.receive, methods=["POST"])])
    async with serving(app) as url:
        receiver.url = f"{url}/hook"
        stage.world.postbox.endpoints = (Endpoint(receiver.url, (SECRET,)),)
        yield receiver
