"""Closing a connection instead of answering: what a caller sees when Stripe or the network dies."""

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
        cycle = getattr(scope[SERVER_SEND], "__self__", None)
        transport = getattr(cycle, "transport", None)
        if transport is None:
            raise ConnectionResetError("The fake Stripe hangs up.")
        transport.abort()
        while (await receive())["type"] != "http.disconnect":
            pass
