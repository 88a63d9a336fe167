"""Events: what happened, as a snapshot, listed for 30 days and sent to webhook endpoints."""

import zlib

import msgspec
import stripe
from stripe import params

from sandbox.stripe.chaos import Fault
from sandbox.stripe.errors import Body, StripeError, not_found
from sandbox.stripe.event_body import snapshot
from sandbox.stripe.lists import Span, Window
from sandbox.stripe.operations import LISTING, Call, Operation
from sandbox.stripe.records import Event
from sandbox.stripe.webhooks import post
from sandbox.stripe.world import Cause, World

LISTED_S = 30 * 24 * 3600
TYPES_MAX = 20


def emit(
    world: World, event_type: str, body: Body, cause: Cause, before: Body | None = None
) -> None:
    """Record that `body` is now so. `before` is how an updated object looked until now."""
    if world.chaos.take(Fault.HIDE_EVENT, event_type):
        return
    data: Body = {"object": body}
    if before is not None:
        changed = {name: old for name, old in before.items() if body.get(name) != old}
        data["previous_attributes"] = changed
    event = Event(
        id=world.ids.new("evt"),
        created=cause.now,
        type=event_type,
        data=zlib.compress(msgspec.json.encode(data), level=1),
        api_version=stripe.api_version,
        request_id=cause.request_id,
        idempotency_key=cause.idempotency_key,
        object_kind=body["object"],
        object_id=body["id"],
    )
    post(world.postbox, world.events.add(event), world.chaos)


def retrieve(world: World, call: Call) -> Body:
    """GET /v1/events/{id}"""
    event = world.events.find(call.path["id"])
    if event is None:
        raise not_found("event", call.path["id"], "id")
    return snapshot(event)


def list_events(world: World, call: Call) -> Body:
    """GET /v1/events: the last 30 days, newest first."""
    kind, kinds = call.params.get("type"), call.params.get("types")
    if kind is not None and kinds is not None:
        raise StripeError("You may only specify one of these parameters: type, types.")
    if kinds is not None and len(kinds) > TYPES_MAX:
        raise StripeError(f"You may pass up to {TYPES_MAX} event names.", param="types")
    wanted = kinds if kinds is not None else [kind] if kind is not None else None
    delivered = call.params.get("delivery_success")

    def keep(event: Event) -> bool:
        is_wanted = wanted is None or any(_names(pattern, event.type) for pattern in wanted)
        return is_wanted and delivered in (None, event.pending_webhooks == 0)

    span = listed_span(Span.of(call.params.get("created")), call.now)
    page = world.events.page(Window.of(call.params), span=span, keep=keep)
    return page.body("/v1/events", snapshot)


def listed_span(span: Span, now: int) -> Span:
    """What of a span is still listed."""
    return Span(max(span.start, now - LISTED_S), span.end)


def _names(pattern: str, event_type: str) -> bool:
    """Whether a pattern such as `invoice.*` or a full name covers a type."""
    if pattern.endswith("*"):
        return event_type.startswith(pattern.removesuffix("*"))
    return event_type == pattern


OPERATIONS = [
    Operation(
        "GET",
        "/v1/events",
        params.EventListParams,
        list_events,
        (*LISTING, "type", "types", "delivery_success"),
    ),
    Operation("GET", "/v1/events/{id}", params.EventRetrieveParams, retrieve),
]
