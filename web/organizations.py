"""Home: the one organization somebody belongs to, or a choice."""

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from billing.accounts import Viewer, organizations_for
from billing.runtime import Runtime
from web.auth import page
from web.paging import after_slug
from web.rendering import render

PAGE_SIZE = 50


async def home(request: Request) -> Response:
    """Straight to the bill where there is no choice."""
    runtime: Runtime = request.state.runtime
    viewer: Viewer = request.state.viewer
    after = after_slug(request.query_params.get("after"))
    async with runtime.sessions() as session:
        rows = await organizations_for(session, viewer, limit=PAGE_SIZE + 1, after_slug=after)
    if len(rows) == 1 and after is None and not viewer.is_staff:
        return RedirectResponse(f"/orgs/{rows[0].slug}/billing", 303)
    shown = rows[:PAGE_SIZE]
    further = shown[-1].slug if len(rows) > PAGE_SIZE else None
    return render(request, "organizations.html", organizations=shown, further=further)


routes = [page("/", home)]
