"""/v1/customers"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from stripe import params

from sandbox.stripe.errors import Body, StripeError, no_such, not_found
from sandbox.stripe.events import emit
from sandbox.stripe.lists import Span, Window
from sandbox.stripe.operations import LISTING, Call, Operation
from sandbox.stripe.params import Params, merge_metadata, refuse_unmodelled
from sandbox.stripe.payment_methods import attach_to, find_or_make
from sandbox.stripe.records import Customer, PaymentMethod
from sandbox.stripe.world import World

DETAILS: dict[str, Any] = {
    "address": None,
    "business_name": None,
    "description": None,
    "email": None,
    "individual_name": None,
    "name": None,
    "phone": None,
    "preferred_locales": [],
    "shipping": None,
    "tax_exempt": "none",
}
SEARCH_LAG_S = 60
_BY_METADATA = re.compile(r"metadata\['([^']+)'\]:'([^']*)'")
EDITABLE = (*DETAILS, "balance", "invoice_prefix", "invoice_settings", "metadata")


def create(world: World, call: Call) -> Body:
    """POST /v1/customers"""
    customer = Customer(
        id=world.ids.new("cus"),
        created=call.now,
        invoice_prefix=world.ids.invoice_prefix(),
        details=dict(DETAILS),
        metadata={},
    )
    attaching: dict[str, PaymentMethod] = {}
    if (name := call.params.get("payment_method")) is not None:
        method = find_or_make(world, name, call.now)
        if method is None:
            raise no_such("PaymentMethod", name, "payment_method")
        attaching = {name: method, method.id: method}
    _edit(world, customer, call.params, attaching)
    for method in attaching.values():
        attach_to(method, customer)
    world.customers.add(customer)
    body = customer_body(customer)
    emit(world, "customer.created", body, call.cause)
    return body


def retrieve(world: World, call: Call) -> Body:
    """GET /v1/customers/{customer}. Recorded: a deleted one is answered 200, as a stub."""
    customer = world.customers.find(call.path["customer"])
    if customer is None:
        raise not_found("customer", call.path["customer"], "id")
    return _stub(customer) if customer.deleted else customer_body(customer)


def update(world: World, call: Call) -> Body:
    """POST /v1/customers/{customer}"""
    customer = _live(world, call)
    before = customer_body(customer)
    _edit(world, customer, call.params)
    body = customer_body(customer)
    emit(world, "customer.updated", body, call.cause, before)
    return body


def delete(world: World, call: Call) -> Body:
    """DELETE /v1/customers/{customer}"""
    customer = _live(world, call)
    body = customer_body(customer)
    customer.deleted = True
    emit(world, "customer.deleted", body, call.cause)
    return _stub(customer)


def list_customers(world: World, call: Call) -> Body:
    """GET /v1/customers"""
    email = call.params.get("email")
    page = world.customers.page(
        Window.of(call.params),
        span=Span.of(call.params.get("created")),
        keep=lambda customer: email in (None, customer.details["email"]),
    )
    return page.body("/v1/customers", customer_body)


def search(world: World, call: Call) -> Body:
    """GET /v1/customers/search, by one key of the metadata; what is a minute old may be missing.

    Stripe promises no more of its search, so here it is missing.
    """
    asked = _BY_METADATA.fullmatch(call.params["query"])
    if asked is None:
        raise StripeError(
            "We were unable to parse your search query: the fake knows metadata['key']:'value'.",
            param="query",
        )
    key, value = asked.groups()
    found = [
        customer_body(customer)
        for customer in world.customers
        if customer.metadata.get(key) == value and customer.created <= call.now - SEARCH_LAG_S
    ]
    limit = Window.of(call.params).limit
    start = int(call.params.get("page") or 0)
    has_more = len(found) > start + limit
    return {
        "object": "search_result",
        "data": found[start : start + limit],
        "has_more": has_more,
        "next_page": str(start + limit) if has_more else None,
        "url": "/v1/customers/search",
    }


def customer_body(customer: Customer) -> Body:
    """The customer object."""
    return {
        "id": customer.id,
        "object": "customer",
        **customer.details,
        "balance": customer.balance,
        "created": customer.created,
        "currency": customer.currency,
        "customer_account": None,
        "default_source": None,
        "delinquent": False,
        "discount": _discount(customer),
        "invoice_prefix": customer.invoice_prefix,
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": customer.default_payment_method,
            "footer": None,
            "rendering_options": None,
        },
        "livemode": False,
        "metadata": customer.metadata,
        "next_invoice_sequence": customer.next_invoice_sequence,
        "test_clock": None,
    }


def _discount(customer: Customer) -> Body | None:
    discount = customer.discount
    if discount is None:
        return None
    return {
        "id": discount.id,
        "object": "discount",
        "checkout_session": None,
        "customer": customer.id,
        "customer_account": None,
        "end": None,
        "invoice": None,
        "invoice_item": None,
        "promotion_code": None,
        "source": {"coupon": discount.coupon.id, "type": "coupon"},
        "start": discount.start,
        "subscription": None,
        "subscription_item": None,
    }


def _stub(customer: Customer) -> Body:
    return {"id": customer.id, "object": "customer", "deleted": True}


def _live(world: World, call: Call) -> Customer:
    customer = world.customers.find_live(call.path["customer"])
    if customer is None:
        raise not_found("customer", call.path["customer"], "id")
    return customer


def _edit(
    world: World,
    customer: Customer,
    wanted: Params,
    attaching: Mapping[str, PaymentMethod] = MappingProxyType({}),
) -> None:
    """Apply parameters; everything that can be refused is checked before anything changes."""
    settings = wanted.get("invoice_settings", {})
    refuse_unmodelled(settings, ("default_payment_method",), "invoice_settings")
    default = settings.get("default_payment_method", customer.default_payment_method)
    if default in attaching:
        default = attaching[default].id
    elif default is not None:
        _require_attached(world.payment_methods.find(default), default, customer)
    metadata = merge_metadata(customer.metadata, wanted.get("metadata", {}))
    customer.default_payment_method = default
    customer.metadata = metadata
    customer.balance = wanted.get("balance", customer.balance)
    customer.invoice_prefix = wanted.get("invoice_prefix") or customer.invoice_prefix
    given = {name: wanted[name] for name in DETAILS if name in wanted}
    customer.details = customer.details | given


def _require_attached(method: PaymentMethod | None, method_id: str, customer: Customer) -> None:
    if method is None or method.customer != customer.id:
        raise StripeError(
            f"The customer does not have a payment method with the ID {method_id}. The payment"
            " method must be attached to the customer.",
            code="resource_missing",
            param="invoice_settings[default_payment_method]",
        )


OPERATIONS = [
    Operation(
        "POST",
        "/v1/customers",
        params.CustomerCreateParams,
        create,
        (*EDITABLE, "payment_method"),
    ),
    Operation(
        "GET",
        "/v1/customers",
        params.CustomerListParams,
        list_customers,
        (*LISTING, "email"),
    ),
    Operation(
        "GET",
        "/v1/customers/search",
        params.CustomerSearchParams,
        search,
        ("query", "limit", "page"),
    ),
    Operation("GET", "/v1/customers/{customer}", params.CustomerRetrieveParams, retrieve),
    Operation("POST", "/v1/customers/{customer}", params.CustomerUpdateParams, update, EDITABLE),
    Operation("DELETE", "/v1/customers/{customer}", params.CustomerDeleteParams, delete),
]
