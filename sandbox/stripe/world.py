"""Everything one fake Stripe account holds, and the few knobs it has."""

from collections import Counter
from dataclasses import dataclass, field, fields
from datetime import datetime
from operator import attrgetter
from typing import Any

from sandbox.stripe.agenda import Agenda
from sandbox.stripe.chaos import Chaos
from sandbox.stripe.idempotency import Replays
from sandbox.stripe.ids import Ids
from sandbox.stripe.limits import UNLIMITED, Limits, Traffic
from sandbox.stripe.lists import Shelf
from sandbox.stripe.records import (
    Card,
    CreditNote,
    Customer,
    Dispute,
    Event,
    Invoice,
    InvoiceItem,
    PaymentMethod,
    Refund,
)
from sandbox.stripe.webhooks import Postbox

COLLECTION_DELAY_S = 5
CLEARING_DELAY_S = 3 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Cause:
    """When something happens, in unix seconds, and the request that made it, if one did."""

    now: int
    request_id: str | None = None
    idempotency_key: str | None = None


@dataclass(slots=True)
class Knobs:
    """What a demo or a test may set. `cards` overrules what a customer has attached.

    `collection_delay_s` is from finalization to the first automatic charge, `clearing_delay_s` from
    a charge that pays LATER to its money.
    """

    default_card: Card = Card.PAY
    cards: dict[str, Card] = field(default_factory=dict)
    collection_delay_s: int = COLLECTION_DELAY_S
    clearing_delay_s: int = CLEARING_DELAY_S


@dataclass(slots=True)
class World:
    """The account. `due_invoices` holds ids of invoices that have something to do at an instant."""

    ids: Ids = field(default_factory=Ids)
    base_url: str = "http://127.0.0.1:12111"
    knobs: Knobs = field(default_factory=Knobs)
    customers: Shelf[Customer] = field(default_factory=lambda: Shelf("customer"))
    payment_methods: Shelf[PaymentMethod] = field(default_factory=lambda: Shelf("payment_method"))
    items: Shelf[InvoiceItem] = field(
        default_factory=lambda: Shelf("invoiceitem", attrgetter("customer"))
    )
    invoices: Shelf[Invoice] = field(
        default_factory=lambda: Shelf("invoice", attrgetter("customer"))
    )
    events: Shelf[Event] = field(default_factory=lambda: Shelf("event"))
    due_invoices: Agenda[str] = field(default_factory=Agenda)
    postbox: Postbox = field(default_factory=Postbox)
    replays: Replays = field(default_factory=Replays)
    chaos: Chaos = field(default_factory=Chaos)
    calls: Counter[str] = field(default_factory=Counter)
    limits: Limits = UNLIMITED
    traffic: Traffic = field(default_factory=Traffic)
    credit_notes: Shelf[CreditNote] = field(
        default_factory=lambda: Shelf("credit note", attrgetter("invoice"))
    )
    refunds: Shelf[Refund] = field(default_factory=lambda: Shelf("refund", attrgetter("invoice")))
    disputes: Shelf[Dispute] = field(
        default_factory=lambda: Shelf("dispute", attrgetter("invoice"))
    )

    def __setstate__(self, state: tuple[None, dict[str, Any]]) -> None:
        """Unpickled: an account that an older version kept has none of what that did not know."""
        World.__init__(self)
        for name, value in state[1].items():
            setattr(self, name, value)

    def clear(self) -> None:
        """Empty the account. Ids go on, so no id ever names two things; endpoints and limits stay,
        and so do the locks of calls under way.
        """
        fresh = World(ids=self.ids, base_url=self.base_url, limits=self.limits)
        fresh.traffic = self.traffic
        fresh.traffic.refused.clear()
        fresh.postbox.endpoints = self.postbox.endpoints
        for each in fields(self):
            setattr(self, each.name, getattr(fresh, each.name))


def unix(instant: datetime) -> int:
    """Whole unix seconds, Stripe's own measure of time."""
    return int(instant.timestamp())
