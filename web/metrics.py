"""What Prometheus is told: requests, how long they took, who watches live, what usage lacks."""

import asyncio
from collections.abc import Mapping
from functools import cache
from time import perf_counter

from prometheus_client import CONTENT_TYPE_LATEST, Counter, Gauge, Histogram, generate_latest
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from billing.reconciling import unrepaired_counts
from billing.rules.drift import DriftKind
from billing.runtime import Runtime
from billing.stripe_events import ENABLED, find_endpoint
from billing.usage.completeness import usage_alarms
from billing.verifying import checks_counted

REQUESTS = Counter(
    "http_requests", "Requests answered, by route template.", ["method", "route", "status"]
)
SECONDS = Histogram(
    "http_request_seconds",
    "Time to the first byte, by route template.",
    ["method", "route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
STREAMS = Gauge("live_streams", "Pages that are being kept up to date.")
PUSHES = Counter("live_pushes", "Messages sent to live pages.")
GAPS = Gauge("usage_source_gaps", "Control totals of sources that differ from what has come.")
BEHIND = Gauge("usage_sources_behind", "Sources over 15 minutes behind, by their heartbeats.")
VERIFIED = Gauge(
    "invoices_verified",
    "Issued invoices computed again from their events: with the same digest, or another.",
    ["outcome"],
)
DRIFTS = Gauge(
    "reconciliation_differences",
    "Differences with Stripe that the last comparison of everything found, by kind.",
    ["kind"],
)
ENDPOINT = Gauge(
    "stripe_webhook_endpoint_enabled",
    "Whether Stripe says that it sends us webhooks: 1 or 0, and NaN while nobody knows.",
)

_UNKNOWN = float("nan")
_ASK_SECONDS_MAX = 3
_UNMATCHED = "unmatched"
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}


class RequestMetrics:
    """Counts by the route's template, never by the path: an attacker must not make new series."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on, watching answers begin."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = perf_counter()

        has_begun = False

        async def send_counted(message: Message) -> None:
            nonlocal has_begun
            if message["type"] == "http.response.start":
                has_begun = True
                _count(scope, message["status"], perf_counter() - started)
            await send(message)

        try:
            await self._app(scope, receive, send_counted)
        except Exception:
            if not has_begun:
                _count(scope, 500, perf_counter() - started)
            raise


def _count(scope: Scope, status: int, seconds: float) -> None:
    method = scope["method"] if scope["method"] in _METHODS else "other"
    route = getattr(scope.get("route"), "path", _UNMATCHED)
    requests, durations = _series(method, route, status)
    requests.inc()
    durations.observe(seconds)


@cache
def _series(method: str, route: str, status: int) -> tuple[Counter, Histogram]:
    """Both are few: methods and routes are ours. Looking them up costs more than counting."""
    return REQUESTS.labels(method, route, str(status)), SECONDS.labels(method, route)


async def metrics(request: Request) -> Response:
    """This process's counters and what the database says, in Prometheus's text format."""
    await _ask_database(request.state.runtime)
    return Response(generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})


async def _ask_database(runtime: Runtime) -> None:
    """While it does not answer nobody knows: no number, rather than the last one for ever."""
    gaps = behind = same = other = enabled = _UNKNOWN
    drifts: Mapping[str, float] = dict.fromkeys(DriftKind, _UNKNOWN)
    try:
        async with asyncio.timeout(_ASK_SECONDS_MAX), runtime.sessions() as session:
            now = await runtime.now()
            alarms = await usage_alarms(session, now)
            checks = await checks_counted(session)
            gaps, behind = alarms.gaps, alarms.behind
            same, other = checks[True], checks[False]
            drifts = await unrepaired_counts(session)
            endpoint = await find_endpoint(session, now)
            if endpoint is not None:
                enabled = float(endpoint.status == ENABLED)
    except (SQLAlchemyError, OSError, TimeoutError):
        pass
    GAPS.set(gaps)
    BEHIND.set(behind)
    VERIFIED.labels("same").set(same)
    VERIFIED.labels("differs").set(other)
    ENDPOINT.set(enabled)
    for kind in DriftKind:
        DRIFTS.labels(kind).set(drifts.get(kind, 0))
