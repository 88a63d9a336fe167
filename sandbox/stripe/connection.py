"""Closing a connection instead of answering: what a caller sees when Stripe or the network dies."""

import asyncio

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

SERVER_SEND = "sandbox.stripe.send"


class Doorway:
    """The outermost layer: remembers the server's own `send`, which frameworks wrap."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app({**scope, SERVER_SEND: send}, receive, send)


class HangUp(Response):
    """No answer at all: the connection is closed without a byte.

    ASGI has no word for this, so it reaches for the transport that uvicorn's `send` belongs to;
    raises `ConnectionResetError` under a server that has none.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        transport = _transport(scope)
        transport.abort()
        await _gone(receive)


class CutShort(Response):
    """The head of an answer and half of its body, and then the connection is closed."""

    def __init__(self, whole: Response) -> None:
        super().__init__()
        self._whole = whole

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        transport, whole = _transport(scope), self._whole
        head = {"type": "http.response.start", "status": whole.status_code}
        half = whole.body[: len(whole.body) // 2]
        await send({**head, "headers": whole.raw_headers})
        await send({"type": "http.response.body", "body": half, "more_body": True})
        transport.close()
        await _gone(receive)


def _transport(scope: Scope) -> asyncio.Transport:
    cycle = getattr(scope[SERVER_SEND], "__self__", None)
    transport: asyncio.Transport | None = getattr(cycle, "transport", None)
    if transport is None:
        raise ConnectionResetError("The fake Stripe hangs up.")
    return transport


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
