"""The one route that is asked thousands of times a second, reached before all that pages need."""

from collections.abc import Mapping

from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Shortcut:
    """Answers `route` itself, with these headers more, and passes everything else on.

    For machines alone: nothing is compressed, and `headers` must be none that the route sets.
    """

    def __init__(self, app: ASGIApp, *, route: Route, headers: Mapping[str, str]) -> None:
        self._app = app
        self._route = route
        self._headers = [(name.lower().encode(), value.encode()) for name, value in headers.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take the shortcut, or the long way."""
        if scope["type"] != "http" or scope["path"] != self._route.path:
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *self._headers]
            await send(message)

        scope["route"] = self._route
        await self._route.handle(scope, receive, send_with_headers)
