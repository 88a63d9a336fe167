"""Our cookies: never readable by scripts, never sent with another site's requests."""

from starlette.requests import Request
from starlette.responses import Response

from billing.runtime import Runtime

SESSION = "session"
VISITOR = "visitor"


def set_cookie(request: Request, response: Response, name: str, value: str) -> None:
    """Until the browser is closed, or we say otherwise: a session's end is kept by the server."""
    runtime: Runtime = request.state.runtime
    response.set_cookie(
        name, value, httponly=True, samesite="lax", secure=runtime.settings.is_https, path="/"
    )


def drop_cookie(response: Response, name: str) -> None:
    """Forget it."""
    response.delete_cookie(name, path="/")
