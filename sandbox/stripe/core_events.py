"""/v2/core/events: thin events, by pages whose addresses are given. v2 writes instants as text."""

from collections.abc import Mapping
from datetime import UTC, datetime
from fractions import Fraction
from math import ceil, floor
from typing import Any, NotRequired, TypedDict
from urllib.parse import urlencode

from stripe.params.v2 import core

from sandbox.stripe.errors import Body, StripeError, not_found
from sandbox.stripe.event_body import snapshot_id, thin_event, thin_id, thin_type
from sandbox.stripe.events import TYPES_MAX, listed_span
from sandbox.stripe.lists import END_OF_TIME, PAGE_SIZE, PAGE_SIZE_MAX, Page, Span, Window
from sandbox.stripe.operations import Call, Operation
from sandbox.stripe.params import Params
from sandbox.stripe.records import Event
from sandbox.stripe.world import World

AFTER, BEFORE = "after.", "before."


class ListParams(TypedDict):
    """As the SDK's own, and with the page token that the addresses of pages carry."""

    created: NotRequired[core.EventListParamsCreated]
    limit: NotRequired[int]
    object_id: NotRequired[str]
    types: NotRequired[list[str]]
    page: NotRequired[str]


def retrieve(world: World, call: Call) -> Body:
    """GET /v2/core/events/{id}"""
    event = world.events.find(snapshot_id(call.path["id"]))
    if event is None or thin_id(event) != call.path["id"]:
        raise not_found("event", call.path["id"], "id")
    return thin_event(event)


def list_events(world: World, call: Call) -> Body:
    """GET /v2/core/events: the last 30 days, newest first."""
    types, object_id = call.params.get("types"), call.params.get("object_id")
    if types is not None and len(types) > TYPES_MAX:
        raise StripeError(f"You may pass up to {TYPES_MAX} event names.", param="types")

    def keep(event: Event) -> bool:
        return (types is None or thin_type(event.type) in types) and (
            object_id in (None, event.object_id)
        )

    window = _window(call.params)
    span = listed_span(_span(call.params.get("created", {})), call.now)
    page = world.events.page(window, span=span, keep=keep)
    return {"data": [thin_event(event) for event in page.items], **_neighbours(call, window, page)}


def _window(params: Params) -> Window:
    limit = params.get("limit", PAGE_SIZE)
    if not 1 <= limit <= PAGE_SIZE_MAX:
        raise StripeError(f"Limit must be between 1 and {PAGE_SIZE_MAX}.", param="limit")
    token = params.get("page")
    if token is None:
        return Window(limit)
    if token.startswith(AFTER):
        return Window(limit, starting_after=token.removeprefix(AFTER))
    if token.startswith(BEFORE):
        return Window(limit, ending_before=token.removeprefix(BEFORE))
    raise StripeError("Invalid page token.", param="page")


def _span(created: Mapping[str, str]) -> Span:
    """From bounds written as text. Events are of whole seconds, a bound may lie between two."""
    bounds = {name: _instant(text, f"created[{name}]") for name, text in created.items()}
    first = max(ceil(bounds.get("gte", Fraction(0))), floor(bounds.get("gt", Fraction(-1))) + 1)
    end = Fraction(END_OF_TIME)
    return Span(first, min(ceil(bounds.get("lt", end)), floor(bounds.get("lte", end - 1)) + 1))


def _instant(text: str, param: str) -> Fraction:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise StripeError(f"Invalid timestamp: {text}", param=param) from None
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=UTC)
    return Fraction(int(instant.timestamp())) + Fraction(instant.microsecond, 1_000_000)


def _neighbours(call: Call, window: Window, page: Page[Event]) -> Body:
    back = window.ending_before is not None
    has_older = page.has_more or back
    has_newer = page.has_more if back else window.starting_after is not None
    older = AFTER + page.items[-1].id if page.items and has_older else None
    newer = BEFORE + page.items[0].id if page.items and has_newer else None
    return {
        "next_page_url": _address(call.params, older),
        "previous_page_url": _address(call.params, newer),
    }


def _address(params: Params, token: str | None) -> str | None:
    if token is None:
        return None
    flat: dict[str, Any] = {}
    for name, value in (params | {"page": token}).items():
        if isinstance(value, dict):
            flat |= {f"{name}[{part}]": inner for part, inner in value.items()}
        elif isinstance(value, list):
            flat |= {f"{name}[{part}]": inner for part, inner in enumerate(value)}
        else:
            flat[name] = value
    return f"/v2/core/events?{urlencode(flat)}"


OPERATIONS = [
    Operation(
        "GET",
        "/v2/core/events",
        ListParams,
        list_events,
        ("types", "created", "limit", "object_id", "page"),
    ),
    Operation("GET", "/v2/core/events/{id}", core.EventRetrieveParams, retrieve),
]
