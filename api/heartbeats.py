"""`POST /api/v1/heartbeats`: how far a source has sent its usage, and what it says that came to.

204 when all of it is taken; a refusal names the field, and nothing is taken. Resending is safe.
"""

from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api.auth import key_viewer
from api.bodies import read_body
from api.event_formats import decoded
from api.problems import METHODS, UnsupportedMediaType, answers_problems, require_post
from billing.runtime import Runtime
from billing.usage.heartbeat_shapes import Heartbeat, parse_heartbeat
from billing.usage.heartbeats import record_heartbeat
from billing.usage.store import again_on_deadlock, require_write

BODY_BYTES_MAX = 1024 * 1024
MEDIA_TYPE = "application/json"


@answers_problems
async def beat(request: Request) -> Response:
    """Take one heartbeat."""
    require_post(request, guide="docs/heartbeats.md")
    runtime: Runtime = request.state.runtime
    viewer = await key_viewer(request)
    require_write(viewer)
    heartbeat = await _heartbeat(request)
    now = await runtime.now()

    async def attempt() -> None:
        async with runtime.sessions.begin() as session:
            await record_heartbeat(session, heartbeat, viewer=viewer, now=now)

    await again_on_deadlock(attempt)
    return Response(status_code=HTTPStatus.NO_CONTENT)


async def _heartbeat(request: Request) -> Heartbeat:
    media_type = request.headers.get("content-type", "").split(";", maxsplit=1)[0].strip().lower()
    if media_type != MEDIA_TYPE:
        raise UnsupportedMediaType(
            f"Send a heartbeat as {MEDIA_TYPE}, not {media_type or 'without a Content-Type'}."
        )
    body = await read_body(request, BODY_BYTES_MAX, advice="send several heartbeats")
    return parse_heartbeat(decoded(body))


route = Route("/api/v1/heartbeats", beat, methods=METHODS)
