"""The billing page: what is owed so far, why, and what was invoiced before. Live by one stream."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress

from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.requests import Request
from starlette.responses import Response

from billing.accounts import Viewer
from billing.ids import OrgId
from billing.models import Scope
from billing.runtime import Runtime
from web.auth import data, organization_of, page
from web.costs import chosen_group
from web.exports import estimate_csv, estimate_json
from web.figures import Figures, figures_now
from web.live import Live
from web.metrics import PUSHES, STREAMS
from web.parts import Snapshot, View
from web.rendering import render

STREAM_SECONDS_MAX = 600
"""Then the browser comes back by itself, and is asked again who it is."""

_STREAM_SPREAD_SECONDS = 60
_HEARTBEAT_SECONDS = 15
SILENT_SECONDS_MAX = 45
"""A page that has heard nothing for so long says that its figures are old."""


async def dashboard(request: Request) -> Response:
    """The page, whole without any script. It includes the parts that the stream pushes."""
    return await billing_page(request)


async def billing_page(
    request: Request, *, status: int = 200, refusal: str | None = None, given: str = ""
) -> Response:
    """The page; with the words of a `refusal` where its form had `given` what cannot be."""
    group = chosen_group(request.query_params.get("group"))
    figures = await _figures(request)
    viewer: Viewer = request.state.viewer
    return render(
        request,
        "billing/dashboard.html",
        status=status,
        is_live=request.query_params.get("live") != "off",
        silent_seconds=SILENT_SECONDS_MAX,
        may_set_maximum=viewer.may(Scope.BILLING_WRITE, figures.org.id),
        refusal=refusal,
        given=given,
        **figures.context(group),
    )


async def dashboard_json(request: Request) -> Response:
    """The page's figures for scripts."""
    group = chosen_group(request.query_params.get("group"))
    return estimate_json(await _figures(request), group)


async def dashboard_csv(request: Request) -> Response:
    """The draft invoice's lines; with `?group=`, the costs by that instead."""
    given = request.query_params.get("group")
    group = chosen_group(given) if given else None
    return estimate_csv(await _figures(request), group)


async def stream(request: Request) -> Response:
    """One stream a page: everything at once, then what changes, at most every two seconds."""
    runtime: Runtime = request.state.runtime
    group = chosen_group(request.query_params.get("group"))
    async with runtime.sessions() as session:
        org = await organization_of(request, session)
    live: Live[Snapshot] = request.state.live
    return EventSourceResponse(_messages(live, org.id, group), ping=_HEARTBEAT_SECONDS)


async def take_snapshot(runtime: Runtime, org_id: OrgId, before: Snapshot | None) -> Snapshot:
    """What the feed behind the streams computes."""
    return Snapshot(await figures_now(runtime, org_id, before.figures if before else None))


async def _figures(request: Request) -> Figures:
    runtime: Runtime = request.state.runtime
    async with runtime.sessions() as session:
        org = await organization_of(request, session)
    return await figures_now(runtime, org.id)


async def _messages(
    live: Live[Snapshot], org_id: OrgId, group: str
) -> AsyncIterator[ServerSentEvent]:
    age_max = STREAM_SECONDS_MAX + secrets.randbelow(_STREAM_SPREAD_SECONDS)
    ends_at = asyncio.get_running_loop().time() + age_max
    shown: View | None = None
    with STREAMS.track_inprogress(), suppress(TimeoutError):
        async with aclosing(live.figures(org_id)) as figures:
            while True:
                async with asyncio.timeout_at(ends_at):
                    snapshot = await anext(figures)
                view = snapshot.view(group)
                if news := view.changes_since(shown):
                    PUSHES.inc()
                    yield ServerSentEvent(news)
                shown = view


routes = [
    page("/orgs/{slug}/billing", dashboard),
    page("/orgs/{slug}/billing.csv", dashboard_csv),
    data("/orgs/{slug}/billing.json", dashboard_json),
    data("/orgs/{slug}/billing/stream", stream),
]
