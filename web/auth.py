"""Who is looking at a page, and what somebody we do not know gets instead."""

from collections.abc import Awaitable, Callable
from functools import wraps
from urllib.parse import quote

from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from billing.accounts import Viewer, get_organization
from billing.errors import Unauthenticated
from billing.key_cache import viewer_for_key
from billing.models import Organization, Scope
from billing.runtime import Runtime
from billing.sign_in import viewer_for_session
from web.cookies import SESSION
from web.csrf import check_form

Handler = Callable[[Request], Awaitable[Response]]


def page(path: str, handler: Handler) -> Route:
    """For people: whoever is signed out is asked to sign in, and comes back."""
    return Route(path, _signed_in(handler, _ask_to_sign_in))


def data(path: str, handler: Handler) -> Route:
    """For scripts and streams: 401, for following a redirect they would take a form for data."""
    return Route(path, _signed_in(handler, _refuse))


def form(path: str, handler: Handler) -> Route:
    """A POST of one of our own forms; signed in or not is the handler's business."""

    @wraps(handler)
    async def checked(request: Request) -> Response:
        await check_form(request)
        return await handler(request)

    return Route(path, checked, methods=["POST"])


async def find_viewer(request: Request) -> Viewer | None:
    """The key's viewer, else the session's, else None. Raises `Unauthenticated` for a bad key."""
    runtime: Runtime = request.state.runtime
    now = await runtime.now()
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return await viewer_for_key(runtime, key.strip(), now)
    if not (token := request.cookies.get(SESSION)):
        return None
    async with runtime.sessions() as session:
        return await viewer_for_session(session, token, now)


async def organization_of(request: Request, session: AsyncSession) -> Organization:
    """The organization of the address, if the viewer may see its bills. Raises `NotFound`."""
    org = await get_organization(session, request.path_params["slug"])
    viewer: Viewer = request.state.viewer
    viewer.require(Scope.BILLING_READ, org.id)
    return org


def _signed_in(handler: Handler, otherwise: Callable[[Request], Response]) -> Handler:
    @wraps(handler)
    async def guarded(request: Request) -> Response:
        viewer = await find_viewer(request)
        if viewer is None:
            return otherwise(request)
        request.state.viewer = viewer
        return await handler(request)

    return guarded


def _ask_to_sign_in(request: Request) -> Response:
    query = f"?{request.url.query}" if request.url.query else ""
    wanted = quote(f"{request.url.path}{query}", safe="/")
    return RedirectResponse(f"/login?next={wanted}", 303)


def _refuse(_request: Request) -> Response:
    raise Unauthenticated("Sign in, or send an API key: Authorization: Bearer ssk_….")
