"""For staff: how far closing is, what holds invoices up, and letting one go."""

from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from billing.accounts import Viewer, get_organization
from billing.closing import close_progress
from billing.credit_notes import stuck_credit_notes
from billing.errors import Invalid, Unauthenticated
from billing.holds import open_holds, release_hold
from billing.models import HoldReason
from billing.runtime import Runtime
from web.auth import find_viewer, form

SHOWN_MAX = 50


async def closing_context(runtime: Runtime) -> dict[str, Any]:
    """What the page says of closing and of its corrections."""
    now = await runtime.now()
    async with runtime.sessions() as session:
        return {
            "progress": await close_progress(session, now),
            "holds": await open_holds(session, limit=SHOWN_MAX),
            "stuck_notes": await stuck_credit_notes(session, limit=SHOWN_MAX),
        }


async def release(request: Request) -> Response:
    """Let one organization's invoice go in spite of one reason; a note says why."""
    runtime: Runtime = request.state.runtime
    viewer = await _staff(request)
    given = await request.form()
    reason = _reason(str(given.get("reason", "")))
    async with runtime.sessions.begin() as session:
        org = await get_organization(session, str(given.get("organization", "")))
        note, now = str(given.get("note", "")), await runtime.now()
        await release_hold(session, org, reason, note=note, actor=viewer.actor, now=now)
    await runtime.nudges.enqueue("close_periods")
    return RedirectResponse("/ops#closing-title", 303)


async def _staff(request: Request) -> Viewer:
    viewer = await find_viewer(request)
    if viewer is None:
        raise Unauthenticated("Sign in first.")
    viewer.require_ops()
    return viewer


def _reason(text: str) -> HoldReason:
    try:
        return HoldReason(text)
    except ValueError:
        raise Invalid(f"There is no reason {text[:40]!r}.", field="reason") from None


routes = [form("/ops/holds/release", release)]
