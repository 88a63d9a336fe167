"""`POST /api/v1/events`: usage in, as CloudEvents.

204 when every event is stored or was before. With `Prefer: return=representation` (RFC 7240) 200
and a verdict for each. When any is refused 400, naming those; the others are stored all the same.
503 before anything of the body is read, when the database is behind.
"""

import json
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from api.auth import key_viewer
from api.bodies import declared_bytes, read_body
from api.event_formats import format_named
from api.problems import METHODS, answers_problems, problem, require_post
from billing.models import Verdict
from billing.runtime import Runtime
from billing.usage import EventVerdict, require_write
from billing.usage.coalescing import Coalescer
from billing.usage.events import Accepted, Unread
from billing.usage.scanning import EVENTS_MAX, scan
from billing.usage.store import Delivery

BODY_BYTES_MAX = 10 * 1024 * 1024

_STORED = Response(status_code=HTTPStatus.NO_CONTENT)


class _Headers(Headers):
    """A request's headers, each found at once: to look for six of them in a list adds up."""

    def __init__(self, scope: Scope) -> None:
        super().__init__(scope=scope)
        self._first = dict(reversed(self._list))

    def get(self, key: str, default: Any = None) -> Any:  # noqa: ANN401 - as a Mapping has it
        found = self._first.get(key.lower().encode("latin-1"))
        return default if found is None else found.decode("latin-1")


class _Asked(Request):
    def __init__(self, scope: Scope, receive: Receive) -> None:
        super().__init__(scope, receive)
        self._headers = _Headers(scope)


class Ingest:
    """The endpoint as plain ASGI: what Starlette puts around functions costs a tenth of it."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take one request's events."""
        response = await _ingest(_Asked(scope, receive))
        await response(scope, receive, send)


@answers_problems
async def _ingest(request: Request) -> Response:
    require_post(request, guide="README.md")
    runtime: Runtime = request.state.runtime
    coalescer = runtime.remembered(Coalescer)
    admission = coalescer.backlog.admit(min(declared_bytes(request), BODY_BYTES_MAX))
    try:
        delivery = await _delivery(request, admission.grow)
        verdicts = await coalescer.record(runtime, delivery, now=await runtime.now())
    finally:
        admission.leave()
    return _answer(request, verdicts)


async def _delivery(request: Request, grow: Callable[[int], None]) -> Delivery:
    """Who it is comes before what it is, so that strangers cost nothing."""
    viewer = await key_viewer(request)
    require_write(viewer)
    form = format_named(request.headers.get("content-type", ""))
    body = await read_body(request, BODY_BYTES_MAX, advice="send several", on_undeclared=grow)
    if (found := scan(body, form.kind, EVENTS_MAX)) is not None:
        return Delivery(Unread(len(found), lambda: form.decode(body)), viewer, found)
    return Delivery(form.decode(body), viewer)


def _answer(request: Request, verdicts: Sequence[EventVerdict]) -> Response:
    if isinstance(verdicts, Accepted) and not request.headers.get("prefer"):
        return _STORED
    if any(one.verdict is not Verdict.ACCEPTED and one.is_refused for one in verdicts):
        return _refusals(verdicts)
    if _wants_representation(request):
        return _representation(verdicts)
    return _STORED


def _wants_representation(request: Request) -> bool:
    if not (preferred := request.headers.getlist("prefer")):
        return False
    preferences = ",".join(preferred).lower().split(",")
    wanted = {preference.split(";")[0].replace('"', "").strip() for preference in preferences}
    return "return=representation" in wanted


def _representation(verdicts: Sequence[EventVerdict]) -> Response:
    body = {**_stored(verdicts), "events": [_shown(*one) for one in enumerate(verdicts)]}
    headers = {"Preference-Applied": "return=representation"}
    return Response(json.dumps(body), headers=headers, media_type="application/json")


def _refusals(verdicts: Sequence[EventVerdict]) -> Response:
    refused = [_shown(*one) for one in enumerate(verdicts) if one[1].is_refused]
    return problem(
        HTTPStatus.BAD_REQUEST,
        "EVENTS_REFUSED",
        f"{len(refused)} of {len(verdicts)} events were refused, as `events` says;"
        " the others are stored.",
        {**_stored(verdicts), "events": refused},
    )


def _stored(verdicts: Sequence[EventVerdict]) -> dict[str, int]:
    kinds = [verdict.verdict for verdict in verdicts]
    return {
        "accepted": kinds.count(Verdict.ACCEPTED),
        "duplicates": kinds.count(Verdict.DUPLICATE),
    }


def _shown(index: int, verdict: EventVerdict) -> dict[str, object]:
    """`index` counts the events of the request from 0; nulls are left out."""
    shown = {
        "index": index,
        "id": verdict.id,
        "source": verdict.source,
        "verdict": verdict.verdict,
        "code": verdict.code,
        "message": verdict.message,
        "field": verdict.field,
        "did_you_mean": verdict.did_you_mean,
    }
    return {name: value for name, value in shown.items() if value is not None}


route = Route("/api/v1/events", Ingest(), methods=METHODS)
