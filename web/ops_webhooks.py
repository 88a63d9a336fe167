"""For staff: what Stripe told us, and what became of it."""

from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from billing.accounts import Viewer
from billing.errors import Invalid
from billing.models import Outcome, StripeEvent
from billing.runtime import Runtime
from billing.stripe_events import (
    find_cursor,
    inbox_health,
    is_of_another_version,
    received_events,
)
from billing.stripe_wire import API_VERSION
from web.auth import data, page
from web.exports import csv_response, instant_told
from web.paging import after_received, received_position
from web.rendering import render

PAGE_SIZE = 50
_COLUMNS = (
    "id",
    "type",
    "object_id",
    "origin",
    "received_at",
    "handled_at",
    "outcome",
    "reason",
    "attempts",
    "api_version",
)


async def webhooks(request: Request) -> Response:
    """The latest, a page at a time, of every outcome or of one."""
    runtime: Runtime = request.state.runtime
    events, older = await _page_of(request)
    now = await runtime.now()
    async with runtime.sessions() as session:
        inbox = await inbox_health(session, now)
        cursor = await find_cursor(session)
    return render(
        request,
        "ops/webhooks.html",
        events=events,
        older=older,
        inbox=inbox,
        cursor=cursor,
        outcome=request.query_params.get("outcome", ""),
        our_version=API_VERSION,
        is_of_another_version=is_of_another_version,
        here=f"?{request.url.query}" if request.url.query else "",
    )


async def webhooks_as_json(request: Request) -> Response:
    """A page of them; `next` is the address of the older ones."""
    events, older = await _page_of(request)
    following = f"{request.url.path}?{request.url.include_query_params(before=older).query}"
    return JSONResponse(
        {"events": [_told(event) for event in events], "next": following if older else None}
    )


async def webhooks_as_csv(request: Request) -> Response:
    """The same page for spreadsheets."""
    events, _ = await _page_of(request)
    rows = [[_told(event)[column] for column in _COLUMNS] for event in events]
    return csv_response("webhooks.csv", _COLUMNS, rows)


async def _page_of(request: Request) -> tuple[Sequence[StripeEvent], str | None]:
    viewer: Viewer = request.state.viewer
    viewer.require_ops()
    runtime: Runtime = request.state.runtime
    outcome = _outcome(request.query_params.get("outcome", ""))
    before = received_position(request.query_params.get("before"))
    async with runtime.sessions() as session:
        rows = await received_events(session, limit=PAGE_SIZE + 1, outcome=outcome, before=before)
    shown = rows[:PAGE_SIZE]
    return shown, after_received(shown[-1]) if len(rows) > PAGE_SIZE else None


def _outcome(text: str) -> Outcome | None:
    try:
        return Outcome(text) if text else None
    except ValueError:
        raise Invalid(f"There is no outcome {text[:20]!r}.", field="outcome") from None


def _told(event: StripeEvent) -> dict[str, Any]:
    return {
        "id": event.id,
        "type": event.type,
        "object_id": event.object_id,
        "origin": event.origin,
        "received_at": instant_told(event.received_at),
        "handled_at": instant_told(event.handled_at),
        "outcome": event.outcome,
        "reason": event.reason,
        "attempts": event.attempts,
        "api_version": event.api_version,
    }


routes = [
    page("/ops/webhooks", webhooks),
    data("/ops/webhooks.json", webhooks_as_json),
    page("/ops/webhooks.csv", webhooks_as_csv),
]
