"""Webhook deliveries: signed, and retried until they are answered 2xx."""

import asyncio
import hmac
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Literal

import httpx
import msgspec

from sandbox.stripe.agenda import Agenda
from sandbox.stripe.chaos import Chaos, Fault
from sandbox.stripe.errors import Body
from sandbox.stripe.event_body import notification, snapshot, thin_type
from sandbox.stripe.records import Event

MINUTE, HOUR = 60, 3600
# Exponential, three days in all, as Stripe does in live mode (docs "webhooks", 2026). It starts
# earlier than Stripe, so that a demo sees a restarted receiver caught up within seconds.
RETRY_DELAYS_S = (5, 30, 2 * MINUTE, 10 * MINUTE, HOUR, 3 * HOUR, 8 * HOUR, *[12 * HOUR] * 5)
TIMEOUT_S = 10.0
DELIVERIES_AT_ONCE = 16
RECORDS_KEPT = 200
ID_TAIL_LENGTH = 24


class Endpoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where events go.

    Several secrets: one signature each. `retiring` is a secret that was rolled, and the unix second
    until which it signs, too. `api_version` is what its snapshots are pinned to; None is the
    account's. Without an `id` it gets one of its own that depends on nothing but what it is.
    """

    url: str
    secrets: tuple[str, ...]
    enabled_events: tuple[str, ...] = ("*",)
    id: str = ""
    payload: Literal["snapshot", "thin"] = "snapshot"
    api_version: str | None = None
    status: Literal["enabled", "disabled"] = "enabled"
    retiring: tuple[str, int] | None = None
    created: int = 0
    description: str | None = None
    metadata: dict[str, str] = {}

    def __post_init__(self) -> None:
        if not self.id:
            tail = sha256(f"{self.payload} {self.url}".encode()).hexdigest()[:ID_TAIL_LENGTH]
            msgspec.structs.force_setattr(self, "id", f"we_{tail}")

    @property
    def deleted(self) -> bool:
        """Never: one that is deleted is not kept."""
        return False

    def wants(self, event_type: str) -> bool:
        """Whether this kind of event is sent here."""
        name = thin_type(event_type) if self.payload == "thin" else event_type
        return self.status == "enabled" and (
            "*" in self.enabled_events or name in self.enabled_events
        )

    def signing(self, now: int) -> tuple[str, ...]:
        """The secrets it signs with."""
        if self.retiring is not None and now < self.retiring[1]:
            return (*self.secrets, self.retiring[0])
        return self.secrets

    def told(self, event: Event) -> Body:
        """What is sent of an event."""
        if self.payload == "thin":
            return notification(event)
        return snapshot(event, self.api_version)


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

    def find(self, endpoint_id: str) -> Endpoint | None:
        """The endpoint of this id, as it is now."""
        return next((each for each in self.endpoints if each.id == endpoint_id), None)

    def put(self, endpoint: Endpoint) -> None:
        """Add an endpoint, the newest, or change the one of its id."""
        if self.find(endpoint.id) is None:
            self.endpoints = (*self.endpoints, endpoint)
        else:
            self.endpoints = tuple(
                endpoint if each.id == endpoint.id else each for each in self.endpoints
            )

    def remove(self, endpoint_id: str) -> None:
        """Forget an endpoint; what is on its way to it is given up."""
        self.endpoints = tuple(each for each in self.endpoints if each.id != endpoint_id)

    def roll(self, endpoint: Endpoint, secret: str, until: int) -> None:
        """Give an endpoint a new secret; the old one signs, too, until that unix second."""
        retiring = (endpoint.secrets[0], until)
        self.put(msgspec.structs.replace(endpoint, secrets=(secret,), retiring=retiring))


def post(postbox: Postbox, event: Event, chaos: Chaos) -> None:
    """Put a fresh event on its way to every endpoint that wants it."""
    for endpoint in postbox.endpoints:
        if not endpoint.wants(event.type):
            continue
        event.pending_webhooks += 1
        if chaos.take(Fault.DROP_WEBHOOK, event.type):
            continue
        due = event.created + _delay(chaos, event)
        first = chaos.take(Fault.REORDER_WEBHOOK, event.type) is not None
        copies = 2 if chaos.take(Fault.DUPLICATE_WEBHOOK, event.type) else 1
        for _ in range(copies):
            postbox.outgoing.add(due, Delivery(event, endpoint), first=first)


def resend(postbox: Postbox, event: Event, now: int) -> None:
    """Send an event again, as a person would by hand; what is scheduled for it stays so."""
    for endpoint in postbox.endpoints:
        if endpoint.wants(event.type):
            postbox.outgoing.add(now, Delivery(event, endpoint, attempts=len(RETRY_DELAYS_S)))


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


def _delay(chaos: Chaos, event: Event) -> int:
    """Whole seconds, for the clock of deliveries has no smaller."""
    switch = chaos.take(Fault.DELAY_WEBHOOK, event.type)
    return 0 if switch is None else -(-switch.delay_ms // 1000)


def _take_due(postbox: Postbox, now: int) -> Iterator[Delivery]:
    while (delivery := postbox.outgoing.pop_due(now)) is not None:
        yield delivery


async def _attempt(
    postbox: Postbox, client: httpx.AsyncClient, delivery: Delivery, now: int
) -> None:
    """Nothing is sent to an endpoint that is gone or disabled, nor tried again later."""
    event, endpoint = delivery.event, postbox.find(delivery.endpoint.id)
    if endpoint is None or endpoint.status == "disabled":
        return
    payload = msgspec.json.encode(endpoint.told(event))
    headers = {
        "Content-Type": "application/json; charset=utf-8",
        "Stripe-Signature": signature(payload, endpoint.signing(now), now),
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
