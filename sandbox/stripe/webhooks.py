"""Webhook deliveries: signed, and retried until they are answered 2xx."""

import asyncio
import hmac
import zlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256

import httpx
import msgspec

from sandbox.stripe.agenda import Agenda
from sandbox.stripe.chaos import Chaos, Fault
from sandbox.stripe.errors import Body
from sandbox.stripe.records import Event

MINUTE, HOUR = 60, 3600
# Exponential, three days in all, as Stripe does in live mode (docs "webhooks", 2026). It starts
# earlier than Stripe, so that a demo sees a restarted receiver caught up within seconds.
RETRY_DELAYS_S = (5, 30, 2 * MINUTE, 10 * MINUTE, HOUR, 3 * HOUR, 8 * HOUR, *[12 * HOUR] * 5)
TIMEOUT_S = 10.0
DELIVERIES_AT_ONCE = 16
RECORDS_KEPT = 200


class Endpoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where events go. Several secrets: one signature each, as while a secret is being rolled."""

    url: str
    secrets: tuple[str, ...]
    enabled_events: tuple[str, ...] = ("*",)

    def wants(self, event_type: str) -> bool:
        """Whether this kind of event is sent here."""
        return "*" in self.enabled_events or event_type in self.enabled_events


@dataclass(slots=True)
class Delivery:
    """One event on its way to one endpoint; `attempts` counts those made."""

    event: Event
    endpoint: Endpoint
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class DeliveryRecord:
    """How one attempt went: the HTTP status, or the name of what kept it from having one."""

    at: int
    event_id: str
    event_type: str
    url: str
    attempt: int
    outcome: str


@dataclass(slots=True)
class Postbox:
    """The endpoints, what is on its way to them, and how the latest attempts went."""

    endpoints: tuple[Endpoint, ...] = ()
    outgoing: Agenda[Delivery] = field(default_factory=Agenda)
    records: deque[DeliveryRecord] = field(default_factory=lambda: deque(maxlen=RECORDS_KEPT))


def post(postbox: Postbox, event: Event, chaos: Chaos) -> None:
    """Put a fresh event on its way to every endpoint that wants it."""
    for endpoint in postbox.endpoints:
        if not endpoint.wants(event.type):
            continue
        event.pending_webhooks += 1
        if chaos.take(Fault.DROP_WEBHOOK, event.type):
            continue
        postbox.outgoing.add(event.created, Delivery(event, endpoint))
        if chaos.take(Fault.DUPLICATE_WEBHOOK, event.type):
            postbox.outgoing.add(event.created, Delivery(event, endpoint))


async def deliver_due(postbox: Postbox, client: httpx.AsyncClient, now: int) -> None:
    """Attempt every delivery due by `now`, up to `DELIVERIES_AT_ONCE` side by side."""
    due = list(_take_due(postbox, now))
    for start in range(0, len(due), DELIVERIES_AT_ONCE):
        batch = due[start : start + DELIVERIES_AT_ONCE]
        await asyncio.gather(*(_attempt(postbox, client, delivery, now) for delivery in batch))


def signature(payload: bytes, secrets: tuple[str, ...], timestamp: int) -> str:
    """The Stripe-Signature header: HMAC-SHA256 over `timestamp.payload`, one per secret."""
    signed = b"%d.%s" % (timestamp, payload)
    macs = (hmac.new(secret.encode(), signed, sha256).hexdigest() for secret in secrets)
    return ",".join([f"t={timestamp}", *(f"v1={mac}" for mac in macs)])


def event_body(event: Event) -> Body:
    """The snapshot event of the API and of its webhooks."""
    return {
        "id": event.id,
        "object": "event",
        "api_version": event.api_version,
        "context": None,
        "created": event.created,
        "data": msgspec.Raw(zlib.decompress(event.data)),
        "livemode": False,
        "pending_webhooks": event.pending_webhooks,
        "request": {"id": event.request_id, "idempotency_key": event.idempotency_key},
        "type": event.type,
    }


def _take_due(postbox: Postbox, now: int) -> Iterator[Delivery]:
    while (delivery := postbox.outgoing.pop_due(now)) is not None:
        yield delivery


async def _attempt(
    postbox: Postbox, client: httpx.AsyncClient, delivery: Delivery, now: int
) -> None:
    event, endpoint = delivery.event, delivery.endpoint
    payload = msgspec.json.encode(event_body(event))
    headers = {
        "Content-Type": "application/json; charset=utf-8",
        "Stripe-Signature": signature(payload, endpoint.secrets, now),
        "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
    }
    try:
        response = await client.post(endpoint.url, content=payload, headers=headers)
        outcome, arrived = str(response.status_code), response.is_success
    except httpx.HTTPError as error:
        outcome, arrived = type(error).__name__, False
    delivery.attempts += 1
    postbox.records.append(
        DeliveryRecord(now, event.id, event.type, endpoint.url, delivery.attempts, outcome)
    )
    if arrived:
        event.pending_webhooks = max(0, event.pending_webhooks - 1)
    elif delivery.attempts <= len(RETRY_DELAYS_S):
        postbox.outgoing.add(now + RETRY_DELAYS_S[delivery.attempts - 1], delivery)
