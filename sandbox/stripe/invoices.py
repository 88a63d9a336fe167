"""/v1/invoices: create, read, edit, delete. Changes of state are in `lifecycle`."""

from typing import Any

from stripe import params

from sandbox.stripe.charges import check_room, currency_of, take_up
from sandbox.stripe.errors import Body, StripeError, missing, no_such, not_found
from sandbox.stripe.events import emit
from sandbox.stripe.invoice_body import FINALIZES_AFTER_S, announce, invoice_body
from sandbox.stripe.lists import Span, Window
from sandbox.stripe.operations import LISTING, Call, Operation
from sandbox.stripe.params import Params, merge_metadata
from sandbox.stripe.payment import schedule_collection
from sandbox.stripe.records import Customer, Invoice, Status
from sandbox.stripe.world import World

DAY_S = 24 * 3600
DETAILS: dict[str, Any] = {
    "custom_fields": None,
    "default_payment_method": None,
    "description": None,
    "footer": None,
    "statement_descriptor": None,
}
EDITABLE = (
    *DETAILS,
    "auto_advance",
    "collection_method",
    "days_until_due",
    "due_date",
    "effective_at",
    "metadata",
    "number",
)
EDITABLE_WHEN_FINAL = ("auto_advance", "default_payment_method", "metadata")


def create(world: World, call: Call) -> Body:
    """POST /v1/invoices: a draft, empty unless pending items are to be included.

    It has its customer's discount, unless `discounts` is given, which can only be empty here.
    """
    wanted = call.params
    customer = _customer(world, wanted)
    collection_method = wanted.get("collection_method", "charge_automatically")
    due_date = _due_date(wanted, call.now)
    _check_due_date(collection_method, due_date)
    _check_payment_method(world, wanted, customer.id)
    invoice = Invoice(
        id=world.ids.new("in"),
        created=call.now,
        customer=customer.id,
        currency=currency_of(wanted, customer),
        collection_method=collection_method,
        auto_advance=wanted.get("auto_advance", False),
        due_date=due_date,
        details=DETAILS | {name: wanted[name] for name in DETAILS if name in wanted},
        metadata=merge_metadata({}, wanted.get("metadata", {})),
        number=wanted.get("number"),
        effective_at=wanted.get("effective_at"),
        discount=None if "discounts" in wanted else customer.discount,
    )
    if wanted.get("pending_invoice_items_behavior") == "include":
        _include_pending(world, invoice)
    world.invoices.add(invoice)
    _plan_finalization(world, invoice)
    body = invoice_body(world, invoice)
    emit(world, "invoice.created", body, call.cause)
    return body


def retrieve(world: World, call: Call) -> Body:
    """GET /v1/invoices/{invoice}"""
    return invoice_body(world, find_invoice(world, call, "invoice"))


def update(world: World, call: Call) -> Body:
    """POST /v1/invoices/{invoice}. Recorded: once final, metadata stays editable."""
    invoice = find_invoice(world, call, "id")
    wanted = call.params
    if invoice.status is not Status.DRAFT:
        for name in wanted:
            if name not in EDITABLE_WHEN_FINAL:
                raise StripeError("Finalized invoices can't be updated in this way", param=name)
    collection_method = wanted.get("collection_method", invoice.collection_method)
    due_date = _due_date(wanted, invoice.created, invoice.due_date)
    _check_due_date(collection_method, due_date)
    _check_payment_method(world, wanted, invoice.customer)
    metadata = merge_metadata(invoice.metadata, wanted.get("metadata", {}))

    before = invoice_body(world, invoice)
    invoice.metadata = metadata
    invoice.collection_method = collection_method
    invoice.due_date = due_date
    invoice.number = wanted.get("number", invoice.number)
    invoice.effective_at = wanted.get("effective_at", invoice.effective_at)
    if "discounts" in wanted:
        invoice.discount = None
    invoice.details |= {name: wanted[name] for name in DETAILS if name in wanted}
    if "auto_advance" in wanted:
        _set_auto_advance(world, invoice, wanted["auto_advance"], call.now)
    return announce(world, invoice, call.cause, before)


def delete(world: World, call: Call) -> Body:
    """DELETE /v1/invoices/{invoice}: drafts only. Recorded: its items do not become pending."""
    invoice = find_invoice(world, call, "invoice")
    if invoice.status is not Status.DRAFT:
        raise StripeError("You can only delete draft invoices.")
    body = invoice_body(world, invoice)
    invoice.deleted = True
    emit(world, "invoice.deleted", body, call.cause)
    return {"id": invoice.id, "object": "invoice", "deleted": True}


def list_invoices(world: World, call: Call) -> Body:
    """GET /v1/invoices"""
    wanted = call.params
    customer_id = wanted.get("customer")
    if customer_id is not None and world.customers.find(customer_id) is None:
        raise no_such("customer", customer_id, "customer")
    status, method = wanted.get("status"), wanted.get("collection_method")
    due = Span.of(wanted["due_date"]) if "due_date" in wanted else None

    def keep(invoice: Invoice) -> bool:
        return (
            status in (None, invoice.status)
            and method in (None, invoice.collection_method)
            and (due is None or invoice.due_date in due)
        )

    page = world.invoices.page(
        Window.of(wanted), span=Span.of(wanted.get("created")), owner=customer_id, keep=keep
    )
    return page.body("/v1/invoices", lambda invoice: invoice_body(world, invoice))


def find_invoice(world: World, call: Call, param: str) -> Invoice:
    """The invoice the path names. `param` is what its 404 blames: recorded, it differs."""
    invoice = world.invoices.find_live(call.path["invoice"])
    if invoice is None:
        raise not_found("invoice", call.path["invoice"], param)
    return invoice


def _customer(world: World, wanted: Params) -> Customer:
    customer_id = wanted.get("customer")
    if customer_id is None:
        raise missing("customer")
    customer = world.customers.find_live(customer_id)
    if customer is None:
        raise no_such("customer", customer_id, "customer")
    return customer


def _due_date(wanted: Params, created: int, current: int | None = None) -> int | None:
    if "days_until_due" in wanted:
        if "due_date" in wanted:
            raise StripeError(
                "You may only specify one of these parameters: due_date, days_until_due."
            )
        return created + int(wanted["days_until_due"]) * DAY_S
    due_date: int | None = wanted.get("due_date", current)
    return due_date


def _check_due_date(collection_method: str, due_date: int | None) -> None:
    if collection_method == "send_invoice" and due_date is None:
        raise StripeError(
            "If invoice collection method is 'send_invoice', you must specify 'due_date' or"
            " 'days_until_due'."
        )
    if collection_method != "send_invoice" and due_date is not None:
        raise StripeError(
            "You can only specify 'due_date' or 'days_until_due' if invoice collection method is"
            " 'send_invoice'."
        )


def _check_payment_method(world: World, wanted: Params, customer_id: str) -> None:
    method_id = wanted.get("default_payment_method")
    if method_id is None:
        return
    method = world.payment_methods.find(method_id)
    if method is None or method.customer != customer_id:
        raise no_such("PaymentMethod", method_id, "default_payment_method")


def _include_pending(world: World, invoice: Invoice) -> None:
    pending = [
        item
        for item in world.items.owned_by(invoice.customer)
        if item.invoice is None and item.currency == invoice.currency
    ]
    check_room(invoice, len(pending))
    take_up(world, invoice, pending)


def _set_auto_advance(world: World, invoice: Invoice, wanted: bool, now: int) -> None:
    invoice.auto_advance = wanted
    _plan_finalization(world, invoice)
    if invoice.status is Status.OPEN:
        invoice.next_payment_attempt = None
        schedule_collection(world, invoice, now)


def _plan_finalization(world: World, invoice: Invoice) -> None:
    if invoice.auto_advance and invoice.status is Status.DRAFT:
        world.due_invoices.add(invoice.created + FINALIZES_AFTER_S, invoice.id)


OPERATIONS = [
    Operation(
        "POST",
        "/v1/invoices",
        params.InvoiceCreateParams,
        create,
        (*EDITABLE, "customer", "currency", "pending_invoice_items_behavior"),
    ),
    Operation(
        "GET",
        "/v1/invoices",
        params.InvoiceListParams,
        list_invoices,
        (*LISTING, "customer", "status", "collection_method", "due_date"),
    ),
    Operation("GET", "/v1/invoices/{invoice}", params.InvoiceRetrieveParams, retrieve),
    Operation("POST", "/v1/invoices/{invoice}", params.InvoiceUpdateParams, update, EDITABLE),
    Operation("DELETE", "/v1/invoices/{invoice}", params.InvoiceDeleteParams, delete),
]
