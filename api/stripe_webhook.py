"""`POST /webhooks/stripe`: verify, store, commit, nudge, 200. What it means is found out later."""

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from api.bodies import read_body
from api.problems import BadRequest, answers_problems
from billing import stripe_events
from billing.errors import Invalid
from billing.runtime import Runtime
from billing.stripe_gateway import verify_webhook

BODY_BYTES_MAX = 512 * 1024


@answers_problems
async def receive(request: Request) -> Response:
    """Answer 200 only once the event is committed: until then Stripe keeps sending it.

    Whatever fails while storing is a 5xx by the outer edge, for the same reason.
    """
    runtime: Runtime = request.state.runtime
    body = await read_body(request, BODY_BYTES_MAX, advice="no event of Stripe has more")
    now = await runtime.now()
    try:
        header = request.headers.get("Stripe-Signature", "")
        verify_webhook(body, header, runtime.settings.stripe_webhook_secrets, now)
        event = _event(body)
        async with runtime.sessions.begin() as session:
            await stripe_events.receive(
                session, event, now, is_live=runtime.settings.stripe_is_live
            )
    except Invalid as error:
        raise BadRequest(str(error), code=error.code) from None
    await runtime.nudges.enqueue("handle_stripe_events")
    return JSONResponse({"received": True})


def _event(body: bytes) -> dict[str, object]:
    try:
        return msgspec.json.decode(body, type=dict[str, object])
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError):
        raise Invalid("The body is not a JSON object.", code="INVALID_JSON") from None


routes = [Route("/webhooks/stripe", receive, methods=["POST"])]
