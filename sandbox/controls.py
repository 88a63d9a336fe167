"""`/_demo`: buttons that make things happen, each saying what to watch. In the sandbox only."""

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from billing.errors import NotFound
from billing.invoices import sync_health
from billing.runtime import Runtime
from sandbox import acts
from sandbox.proof import Proof, prove
from web.auth import form
from web.rendering import add_templates, fragment, render

ACTS_REMEMBERED = 12
CHOICE = "choice"
_TIMEOUT_SECONDS = 2.0
_STATE = "demo/_state.html"

add_templates(Path(__file__).parent / "templates")


@dataclass(frozen=True, slots=True)
class Control:
    """One button: what it says, what to watch, and what it does with the choice beside it."""

    slug: str
    title: str
    watch: str
    act: Callable[[Runtime, str], Awaitable[str]]
    choices: Sequence[tuple[str, str]] = ()
    asks_who: bool = False
    needs_fake: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """What was done, and what became of it."""

    at: datetime
    title: str
    outcome: str


def _plain(act: Callable[[Runtime], Awaitable[str]]) -> Callable[[Runtime, str], Awaitable[str]]:
    return lambda runtime, _choice: act(runtime)


CONTROLS = (
    Control(
        "spike",
        "Spike traffic",
        "Acme's headline and its app web rise within two seconds.",
        _plain(acts.spike),
    ),
    Control(
        "month-end",
        "Jump to month end and close",
        "The open month becomes an invoice, Closing, Issued, Sent and Paid within half a minute;"
        " the new month begins above it.",
        _plain(acts.jump_to_month_end),
        needs_fake=True,
    ),
    Control(
        "break-stripe",
        "Break Stripe",
        "Then jump to month end. Down or Limited: invoices wait on Ops, customers see a notice, and"
        " every estimate goes on as if nothing were. Slow: they arrive, late. Hangs up: three calls"
        " are done, but never answered; each is repeated, and duplicates stay 0.",
        acts.break_stripe,
        choices=(
            ("down", "Down"),
            ("rate_limit", "Limited"),
            ("slow", "Slow"),
            ("timeout_after_commit", "Hangs up"),
        ),
        needs_fake=True,
    ),
    Control(
        "fix-stripe",
        "Fix Stripe",
        "What waited on Ops is sent, and the notice goes. Above, duplicates stay 0.",
        _plain(acts.fix_stripe),
        needs_fake=True,
    ),
    Control(
        "decline-card",
        "Decline card",
        "Close a month: the invoice is sent and stays unpaid.",
        acts.decline_card,
        asks_who=True,
        needs_fake=True,
    ),
    Control(
        "accept-card",
        "Accept card",
        "Invoices closed from now on are paid again; a declined one is tried again days later, so"
        " at the next jump.",
        acts.accept_card,
        asks_who=True,
        needs_fake=True,
    ),
    Control(
        "late-usage",
        "Send late usage",
        "It is accepted, being younger than 34 days. The invoice of its month is issued and does"
        " not change.",
        _plain(acts.send_late_usage),
    ),
    Control(
        "duplicate-usage",
        "Send duplicate usage",
        "Ten events, three times over: ten count. One more is forged: it conflicts, and does not.",
        _plain(acts.send_duplicate_usage),
    ),
    Control(
        "flush-redis",
        "Flush Redis",
        "Nothing changes on any page, and live figures go on: Redis only ever held nudges.",
        _plain(acts.flush_redis),
    ),
)


async def show(request: Request) -> Response:
    """The page."""
    runtime: Runtime = request.state.runtime
    has_fake = runtime.settings.stripe_api_base is not None
    return render(
        request,
        "demo/demo.html",
        controls=[control for control in CONTROLS if has_fake or not control.needs_fake],
        organizations=[acts.EVERYBODY, *await acts.organization_slugs(runtime)],
        journal=_journal(request),
        **await _state(runtime),
    )


async def state(request: Request) -> Response:
    """The part that polls."""
    return HTMLResponse(fragment(_STATE, await _state(request.state.runtime)))


async def obey(request: Request) -> Response:
    """Do what one button says, note it, and show the page again."""
    control = next((x for x in CONTROLS if x.slug == request.path_params["slug"]), None)
    choice = str((await request.form()).get(CHOICE, ""))
    if control is None or not _is_offered(control, choice):
        raise NotFound("There is no such control.")
    runtime: Runtime = request.state.runtime
    outcome = await control.act(runtime, choice)
    _journal(request).appendleft(Entry(await runtime.now(), control.title, outcome))
    return RedirectResponse("/_demo", 303)


def _is_offered(control: Control, choice: str) -> bool:
    return not control.choices or choice in dict(control.choices)


def _journal(request: Request) -> deque[Entry]:
    state = request.app.state
    if not hasattr(state, "demo_journal"):
        state.demo_journal = deque(maxlen=ACTS_REMEMBERED)
    journal: deque[Entry] = state.demo_journal
    return journal


async def _state(runtime: Runtime) -> dict[str, Any]:
    now = await runtime.now()
    async with runtime.sessions() as session:
        health = await sync_health(session, now)
    return {"now": now, "health": health, "stripe": await _stripe(runtime)}


@dataclass(frozen=True, slots=True)
class StripeState:
    """How the fake is, and whether what it holds is what we sent: None while it does not answer."""

    url: str
    faults: Sequence[str]
    proof: Proof | None


async def _stripe(runtime: Runtime) -> StripeState | None:
    """None beside the real Stripe."""
    url = runtime.settings.stripe_api_base
    if url is None:
        return None
    faults: list[str] = []
    try:
        async with httpx.AsyncClient(timeout=_TIMEOUT_SECONDS, trust_env=False) as client:
            faults = [*(await client.get(f"{url}/_control")).json()["faults"]]
        return StripeState(url, faults, await prove(runtime.sessions, url, _TIMEOUT_SECONDS))
    except httpx.HTTPError:
        return StripeState(url, faults or ["no answer"], None)


routes: list[BaseRoute] = [
    Route("/_demo", show),
    Route("/_demo/state", state),
    form("/_demo/{slug}", obey),
]
