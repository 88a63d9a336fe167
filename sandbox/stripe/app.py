"""The fake Stripe as one ASGI application: the API, the control door, the pages, the clockwork."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import Protocol

import anyio
import httpx
import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from billing.clock import Now, wall_clock
from sandbox.stripe import (
    core_events,
    credit_notes,
    customers,
    events,
    invoice_items,
    invoices,
    lifecycle,
    lines,
    payment_methods,
    refunds,
    webhook_endpoints,
)
from sandbox.stripe.chaos import Fault
from sandbox.stripe.connection import Doorway
from sandbox.stripe.control import obey, report
from sandbox.stripe.errors import unrecognized_url
from sandbox.stripe.exchange import Exchange, Sleep
from sandbox.stripe.operations import Operation
from sandbox.stripe.pages import hosted_invoice, overview
from sandbox.stripe.webhooks import TIMEOUT_S, deliver_due
from sandbox.stripe.world import World, unix

ROOMS = (
    customers,
    payment_methods,
    invoice_items,
    invoices,
    lines,
    lifecycle,
    credit_notes,
    refunds,
    events,
    core_events,
    webhook_endpoints,
)
OPERATIONS: dict[str, Operation] = {
    operation.name: operation for room in ROOMS for operation in room.OPERATIONS
}


class Keeper(Protocol):
    """Where the account outlives the process; `keeps_on_ticks` is False where that takes long."""

    @property
    def keeps_on_ticks(self) -> bool: ...
    async def keep(self, world: World) -> None: ...


logger = logging.getLogger(__name__)


class FakeStripe:
    """One account, served over HTTP.

    `world` may be looked into and set at any time. `now` is the only clock it knows. Its own deeds
    (finalizing, collecting, webhooks) happen in `run_due`: call it, or give `tick_s` to have that
    done every so many seconds while served. A `memory` is given the account at the end, and at each
    tick if it wants that. `sleep` is how a slow answer takes its time.
    """

    def __init__(
        self,
        world: World | None = None,
        now: Now = wall_clock,
        tick_s: float | None = None,
        memory: Keeper | None = None,
        sleep: Sleep = anyio.sleep,
    ) -> None:
        self.world = world or World()
        self.now = now
        self._tick_s = tick_s
        self._memory = memory
        self._sleep = sleep
        self._app = Doorway(
            Starlette(
                routes=self._routes(),
                lifespan=self._lifespan,
                exception_handlers={HTTPException: self._no_such_url},
            )
        )
        self._http: httpx.AsyncClient | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)

    async def run_due(self, now: datetime) -> None:
        """Do everything that falls due by `now`: finalize, collect, clear, deliver webhooks.

        Only while served: webhooks need the HTTP client that lives as long.
        """
        seconds = unix(now)
        lifecycle.advance_due(self.world, seconds)
        await self._deliver(seconds)

    async def _deliver(self, now: int) -> None:
        assert self._http is not None, "not being served"
        await deliver_due(self.world.postbox, self._http, now)

    async def _seconds(self) -> int:
        return unix(await self.now())

    def _routes(self) -> list[Route]:
        api = [
            Route(operation.path, self._endpoint(operation), methods=[operation.method])
            for operation in OPERATIONS.values()
        ]
        return [
            *api,
            Route("/_control", self._show_control),
            Route("/_control", self._obey_control, methods=["POST"]),
            Route("/hosted/{invoice}", self._hosted),
            Route("/", self._overview),
        ]

    def _endpoint(self, operation: Operation) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            instant = await self.now()
            answer = await Exchange(self.world, operation, request, instant, self._sleep).answer()
            if self.world.chaos.take(Fault.WEBHOOKS_FIRST, operation.name):
                await self._deliver(unix(instant))
            return answer

        return endpoint

    async def _show_control(self, request: Request) -> Response:
        body = msgspec.json.encode(report(self.world, await self._seconds()))
        return Response(body, media_type="application/json")

    async def _obey_control(self, request: Request) -> Response:
        """JSON only: a form on some other page in the same browser cannot send that."""
        if request.headers.get("Content-Type", "").partition(";")[0] != "application/json":
            return JSONResponse({"error": "Send application/json."}, 415)
        try:
            obey(self.world, await request.body(), OPERATIONS, await self._seconds())
        except (msgspec.MsgspecError, ValueError) as error:
            return JSONResponse({"error": str(error)}, 400)
        return await self._show_control(request)

    async def _overview(self, request: Request) -> Response:
        return HTMLResponse(overview(self.world, await self._seconds()))

    async def _hosted(self, request: Request) -> Response:
        invoice = self.world.invoices.find_live(request.path_params["invoice"])
        if invoice is None or invoice.finalized_at is None:
            raise HTTPException(404)
        return HTMLResponse(hosted_invoice(self.world, invoice))

    async def _no_such_url(self, request: Request, error: Exception) -> Response:
        """Stripe answers 404 for an address it does not know, and for a method too."""
        refusal = unrecognized_url(request.method, request.url.path)
        body = refusal.body(self.world.ids.new("req"), await self._seconds())
        return JSONResponse(body, refusal.status)

    @asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        async with httpx.AsyncClient(timeout=TIMEOUT_S, trust_env=False) as self._http:
            clockwork = asyncio.create_task(self._tick())
            yield
            clockwork.cancel()
            with suppress(asyncio.CancelledError):
                await clockwork
            await self._remember()

    async def _tick(self) -> None:
        """Outlives a clock that cannot be read for a while, as when the demo restarts Postgres."""
        while self._tick_s is not None:
            try:
                await self.run_due(await self.now())
                if self._memory is not None and self._memory.keeps_on_ticks:
                    await self._remember()
            except Exception:
                logger.exception("The fake Stripe could not do what was due.")
            await asyncio.sleep(self._tick_s)

    async def _remember(self) -> None:
        if self._memory is not None:
            await self._memory.keep(self.world)
