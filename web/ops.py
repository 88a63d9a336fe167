"""For staff: how sending invoices is going, what waits for a person, and every organization."""

import hashlib
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from billing.accounts import Viewer, organizations_for
from billing.invoice_sync import push_progress
from billing.invoices import stuck_invoices, sync_health
from billing.runtime import Runtime
from web.auth import data, page
from web.ops_books import books_context
from web.ops_closing import closing_context
from web.paging import after_slug
from web.rendering import fragment, render

PAGE_SIZE = 50
STUCK_SHOWN_MAX = 50
_SYNC = "ops/_sync.html"
_TAG = "HX-PTag"


async def ops(request: Request) -> Response:
    """A hold is released here; other repairs are done from the command line."""
    runtime: Runtime = request.state.runtime
    viewer = _staff(request)
    after = after_slug(request.query_params.get("after"))
    async with runtime.sessions() as session:
        rows = await organizations_for(session, viewer, limit=PAGE_SIZE + 1, after_slug=after)
    sync = await _sync_context(runtime)
    shown = rows[:PAGE_SIZE]
    return render(
        request,
        "ops/ops.html",
        organizations=shown,
        further=shown[-1].slug if len(rows) > PAGE_SIZE else None,
        tag=_tag(fragment(_SYNC, sync)),
        **sync,
        **await closing_context(runtime),
        **await books_context(runtime),
    )


async def sync(request: Request) -> Response:
    """The part that polls. 304 while it would look the same."""
    _staff(request)
    html = fragment(_SYNC, await _sync_context(request.state.runtime))
    if request.headers.get(_TAG) == _tag(html):
        return Response(status_code=304)
    return HTMLResponse(html, headers={_TAG: _tag(html)})


def _staff(request: Request) -> Viewer:
    viewer: Viewer = request.state.viewer
    viewer.require_ops()
    return viewer


async def _sync_context(runtime: Runtime) -> dict[str, Any]:
    now = await runtime.now()
    async with runtime.sessions() as session:
        health = await sync_health(session, now)
        stuck = await stuck_invoices(session, now, limit=STUCK_SHOWN_MAX)
        left = await push_progress(session, runtime.settings.stripe_limits)
    return {"health": health, "stuck": stuck, "now": now, "left": left}


def _tag(html: str) -> str:
    return hashlib.sha256(html.encode()).hexdigest()[:16]


routes = [
    page("/ops", ops),
    data("/ops/sync", sync),
]
