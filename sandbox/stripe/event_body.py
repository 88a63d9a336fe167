"""An event as Stripe tells it: a snapshot of the object, or thin, which only names it."""

import zlib
from datetime import UTC, datetime

import msgspec

from sandbox.stripe.errors import Body
from sandbox.stripe.records import Event

SNAPSHOT_ID, THIN_ID = "evt_", "evt_thin_"


def snapshot(event: Event, api_version: str | None = None) -> Body:
    """The event of the v1 API and of snapshot webhooks. An endpoint may have pinned a version:
    it is named, while the fields stay those of this fake's one version.
    """
    return {
        "id": event.id,
        "object": "event",
        "api_version": api_version or event.api_version,
        "context": None,
        "created": event.created,
        "data": msgspec.Raw(zlib.decompress(event.data)),
        "livemode": False,
        "pending_webhooks": event.pending_webhooks,
        "request": {"id": event.request_id, "idempotency_key": event.idempotency_key},
        "type": event.type,
    }


def notification(event: Event) -> Body:
    """What a thin webhook carries: enough to fetch the object as it is now, and no more."""
    kind, object_id = _object(event)
    return {
        "id": thin_id(event),
        "object": "v2.core.event",
        "type": thin_type(event.type),
        "created": iso(event.created),
        "livemode": False,
        "context": None,
        "related_object": {
            "id": object_id,
            "type": kind,
            "url": f"/v1/{kind}s/{object_id}",
        },
        "reason": _reason(event),
    }


def thin_event(event: Event) -> Body:
    """The event of the v2 API, which also names the snapshot that tells the same."""
    return notification(event) | {"changes": None, "snapshot_event": event.id}


def thin_id(event: Event) -> str:
    """The thin event's own id; the two tell the same, yet are two events to whoever counts ids."""
    return THIN_ID + event.id.removeprefix(SNAPSHOT_ID)


def snapshot_id(thin: str) -> str:
    """The id of the snapshot that tells the same as a thin event."""
    return SNAPSHOT_ID + thin.removeprefix(THIN_ID)


def thin_type(event_type: str) -> str:
    """As the v2 API calls what happened to an object of the v1 API."""
    return f"v1.{event_type}"


def iso(seconds: int) -> str:
    """An instant as the v2 API writes it."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S.000Z}"


def _object(event: Event) -> tuple[str, str]:
    """Kind and id of what it happened to; an event that an older version kept has them inside."""
    if event.object_id:
        return event.object_kind, event.object_id
    told = msgspec.json.decode(zlib.decompress(event.data))["object"]
    return told["object"], told["id"]


def _reason(event: Event) -> Body | None:
    """The request that made it happen, where one did."""
    if event.request_id is None:
        return None
    request = {"id": event.request_id, "idempotency_key": event.idempotency_key}
    return {"type": "request", "request": request}
