"""The control door, `/_control`: faults, cards, webhook endpoints. It works while Stripe is "down".

GET shows everything; POST takes JSON and changes what it names. A fault is `true`, `false`, one
`Switch` as an object, or a list of them:

    {"down": true}
    {"rate_limit": {"operation": "POST /v1/invoices", "calls": 3}}
    {"limits": {"global_per_second": 100, "endpoint_per_second": 25, "concurrent": 20}}
    {"cards": {"cus_…": "decline"}, "default_card": "pay"}
    {"webhook_endpoints": [{"url": "http://127.0.0.1:8000/…", "secrets": ["whsec_…"]}]}
    {"discounts": {"cus_…": {"percent_off": 10}}}
    {"dashboard": {"act": "void", "invoice": "in_…"}}
    {"reset": true}
"""

from collections import Counter
from collections.abc import Collection
from dataclasses import asdict
from typing import Annotated

import msgspec
from msgspec import UNSET, UnsetType

from sandbox.stripe.chaos import EVENT_FAULTS, Fault, Switch
from sandbox.stripe.coupons import Coupon, Discount
from sandbox.stripe.dashboard import AnyAct, perform
from sandbox.stripe.errors import Body
from sandbox.stripe.limits import UNLIMITED, Limits
from sandbox.stripe.records import Card
from sandbox.stripe.webhooks import Endpoint
from sandbox.stripe.world import Knobs, World

Switches = bool | Switch | list[Switch] | UnsetType
SHOWN_OF_ENDPOINTS = ("id", "url", "enabled_events", "payload", "api_version", "status")
Seconds = Annotated[int, msgspec.Meta(ge=0)]


class Orders(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What a POST may say. A card or a discount of null forgets that customer's; limits of null
    end all of them.
    """

    reset: bool = False
    down: Switches = UNSET
    rate_limit: Switches = UNSET
    slow: Switches = UNSET
    cut_mid_body: Switches = UNSET
    webhooks_first: Switches = UNSET
    timeout_after_commit: Switches = UNSET
    error_before_commit: Switches = UNSET
    error_after_commit: Switches = UNSET
    drop_webhook: Switches = UNSET
    duplicate_webhook: Switches = UNSET
    delay_webhook: Switches = UNSET
    reorder_webhook: Switches = UNSET
    hide_event: Switches = UNSET
    limits: Limits | UnsetType | None = UNSET
    default_card: Card | UnsetType = UNSET
    cards: dict[str, Card | None] = {}
    discounts: dict[str, Coupon | None] = {}
    collection_delay_s: Seconds | UnsetType = UNSET
    clearing_delay_s: Seconds | UnsetType = UNSET
    webhook_endpoints: list[Endpoint] | UnsetType = UNSET
    dashboard: AnyAct | UnsetType = UNSET


def obey(world: World, payload: bytes, operations: Collection[str], now: int) -> None:
    """Do what a POST says, or nothing: raises `msgspec.MsgspecError` or `ValueError`."""
    orders = msgspec.json.decode(payload, type=Orders)
    _check(world, orders, operations)
    if orders.dashboard is not UNSET:
        perform(world, orders.dashboard, now)
    if orders.reset:
        world.clear()
    for fault in Fault:
        _set_fault(world, fault, getattr(orders, fault))
    _set_discounts(world, orders.discounts, now)
    _set_knobs(world.knobs, orders)
    if orders.limits is not UNSET:
        world.limits = orders.limits or UNLIMITED
    if orders.webhook_endpoints is not UNSET:
        world.postbox.endpoints = tuple(orders.webhook_endpoints)


def report(world: World, now: int) -> Body:
    """What a GET shows: how Stripe is set, what it holds, how often each operation was called."""
    postbox = world.postbox
    return {
        "now": now,
        "faults": world.chaos.switches,
        "limits": world.limits,
        "refused": dict(world.traffic.refused),
        **asdict(world.knobs),
        "webhook_endpoints": [
            {name: getattr(endpoint, name) for name in SHOWN_OF_ENDPOINTS}
            for endpoint in postbox.endpoints
        ],
        "calls": dict(world.calls),
        "customers": len(world.customers),
        "invoices": Counter(invoice.status for invoice in world.invoices),
        "disputes": {dispute.id: dispute.status for dispute in world.disputes},
        "events": len(world.events),
        "deliveries_outstanding": len(postbox.outgoing),
        "latest_deliveries": [asdict(record) for record in postbox.records],
    }


def _set_knobs(knobs: Knobs, orders: Orders) -> None:
    for customer_id, card in orders.cards.items():
        if card is None:
            knobs.cards.pop(customer_id, None)
        else:
            knobs.cards[customer_id] = card
    for name in ("default_card", "collection_delay_s", "clearing_delay_s"):
        if (value := getattr(orders, name)) is not UNSET:
            setattr(knobs, name, value)


def _set_discounts(world: World, discounts: dict[str, Coupon | None], now: int) -> None:
    for customer_id, coupon in discounts.items():
        customer = world.customers.find(customer_id)
        if customer is not None:
            discount = None if coupon is None else Discount(world.ids.new("di"), coupon, now)
            customer.discount = discount


def _switches(orders: Orders, fault: Fault) -> list[Switch]:
    wanted = getattr(orders, fault)
    if isinstance(wanted, Switch):
        return [wanted]
    return wanted if isinstance(wanted, list) else []


def _check(world: World, orders: Orders, operations: Collection[str]) -> None:
    for fault in Fault:
        for switch in _switches(orders, fault):
            named = None if fault in EVENT_FAULTS else switch.operation
            if named is not None and named not in operations:
                raise ValueError(f"There is no operation {named!r}.")
    for customer_id in orders.discounts:
        if world.customers.find(customer_id) is None:
            raise ValueError(f"There is no customer {customer_id!r}.")


def _set_fault(world: World, fault: Fault, wanted: Switches) -> None:
    if wanted is UNSET:
        return
    switches = [wanted] if isinstance(wanted, Switch) else wanted
    if switches in (False, []):
        world.chaos.turn_off(fault)
    elif isinstance(switches, list):
        world.chaos.turn_on(fault, *switches)
    else:
        world.chaos.turn_on(fault)
