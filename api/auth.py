"""Who is asking a machine's door: an API key, or the person whose browser it is."""

from starlette.requests import Request

from billing.accounts import Viewer
from billing.api_keys import viewer_for_key
from billing.errors import Unauthenticated
from billing.runtime import Runtime
from billing.sign_in import viewer_for_session

SESSION_COOKIE = "session"


async def key_viewer(request: Request) -> Viewer:
    """Whoever's key is in `Authorization: Bearer ssk_…` (RFC 6750 §2.1). Raises `Unauthenticated`.

    Cookies do not count here: a browser sends them along with other sites' requests too.
    """
    if (token := _bearer_token(request)) is None:
        raise Unauthenticated("Send an API key: Authorization: Bearer ssk_….")
    runtime: Runtime = request.state.runtime
    return await viewer_for_key(runtime, token, await runtime.now())


async def viewer_of(request: Request) -> Viewer | None:
    """The key's viewer, else the signed-in person's, else None for nobody.

    A key that is sent and does not hold raises `Unauthenticated` rather than fall back.
    """
    if "authorization" in request.headers:
        return await key_viewer(request)
    if (token := request.cookies.get(SESSION_COOKIE)) is None:
        return None
    runtime: Runtime = request.state.runtime
    async with runtime.sessions() as session:
        return await viewer_for_session(session, token, await runtime.now())


def _bearer_token(request: Request) -> str | None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None
