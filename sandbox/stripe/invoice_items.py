"""/v1/invoiceitems"""

from stripe import params

from sandbox.stripe.charges import (
    CHARGE_PARAMS,
    add_item,
    check_charge,
    check_editable,
    check_new_charge,
    check_room,
    currency_of,
    edit_item,
    period_body,
    pricing_body,
    take_up,
)
from sandbox.stripe.errors import Body, StripeError, missing, no_such, not_found
from sandbox.stripe.events import emit
from sandbox.stripe.invoice_body import announce, invoice_body
from sandbox.stripe.lists import Span, Window
from sandbox.stripe.operations import LISTING, Call, Operation
from sandbox.stripe.params import Params
from sandbox.stripe.records import Customer, Invoice, InvoiceItem
from sandbox.stripe.world import World

NEW = ("customer", "currency", "invoice")


def create(world: World, call: Call) -> Body:
    """POST /v1/invoiceitems: pending, or at once a line of the draft `invoice`."""
    wanted = call.params
    check_new_charge(wanted, also=NEW)
    invoice = _wanted_draft(world, wanted)
    customer = _customer(world, wanted, invoice)
    currency = currency_of(wanted, customer)
    if invoice is not None and invoice.currency != currency:
        raise StripeError(f"The invoice is in {invoice.currency}.", param="currency")
    item = add_item(world, wanted, customer=customer.id, currency=currency, now=call.now)
    if invoice is not None:
        before = invoice_body(world, invoice)
        take_up(world, invoice, [item])
        announce(world, invoice, call.cause, before)
    body = item_body(item)
    emit(world, "invoiceitem.created", body, call.cause)
    return body


def retrieve(world: World, call: Call) -> Body:
    """GET /v1/invoiceitems/{invoiceitem}"""
    return item_body(_item(world, call))


def update(world: World, call: Call) -> Body:
    """POST /v1/invoiceitems/{invoiceitem}"""
    item = _item(world, call)
    check_charge(call.params)
    invoice = _invoice(world, item)
    if invoice is None:
        edit_item(item, call.params)
        return item_body(item)
    if invoice.deleted:
        raise StripeError("This invoice item has been deleted.")
    check_editable(invoice)
    before = invoice_body(world, invoice)
    edit_item(item, call.params)
    announce(world, invoice, call.cause, before)
    return item_body(item)


def delete(world: World, call: Call) -> Body:
    """DELETE /v1/invoiceitems/{invoiceitem}"""
    item = _item(world, call)
    invoice = _invoice(world, item)
    if invoice is not None:
        if invoice.deleted or invoice.finalized_at is not None:
            raise StripeError(
                "Can't delete an invoice item that is attached to an invoice that is no longer"
                " editable"
            )
        before = invoice_body(world, invoice)
        invoice.lines.remove(item)
        announce(world, invoice, call.cause, before)
    body = item_body(item)
    item.deleted = True
    emit(world, "invoiceitem.deleted", body, call.cause)
    return {"id": item.id, "object": "invoiceitem", "deleted": True}


def list_items(world: World, call: Call) -> Body:
    """GET /v1/invoiceitems. `pending` keeps those on no invoice, or those on one."""
    pending, invoice = call.params.get("pending"), call.params.get("invoice")

    def keep(item: InvoiceItem) -> bool:
        is_pending = item.invoice is None
        return pending in (None, is_pending) and invoice in (None, item.invoice)

    page = world.items.page(
        Window.of(call.params),
        span=Span.of(call.params.get("created")),
        owner=call.params.get("customer"),
        keep=keep,
    )
    return page.body("/v1/invoiceitems", item_body)


def item_body(item: InvoiceItem) -> Body:
    """The invoiceitem object."""
    return {
        "id": item.id,
        "object": "invoiceitem",
        "amount": item.amount,
        "currency": item.currency,
        "customer": item.customer,
        "customer_account": None,
        "date": item.created,
        "description": item.description,
        "discountable": item.discountable,
        "discounts": [],
        "frozen_fields": None,
        "invoice": item.invoice,
        "invoicing_rules": [],
        "livemode": False,
        "metadata": item.metadata,
        "net_amount": item.amount,
        "parent": None,
        "period": period_body(item),
        "pricing": pricing_body(item),
        "proration": False,
        "proration_details": None,
        "quantity": 1,
        "quantity_decimal": "1",
        "tax_rates": [],
        "test_clock": None,
    }


def _wanted_draft(world: World, wanted: Params) -> Invoice | None:
    invoice_id = wanted.get("invoice")
    if invoice_id is None:
        return None
    invoice = world.invoices.find_live(invoice_id)
    if invoice is None:
        raise no_such("invoice", invoice_id, "invoice")
    check_editable(invoice)
    check_room(invoice, 1)
    return invoice


def _customer(world: World, wanted: Params, invoice: Invoice | None) -> Customer:
    customer_id: str | None = wanted.get("customer")
    if customer_id is None and invoice is not None:
        customer_id = invoice.customer
    if customer_id is None:
        raise missing("customer")
    customer = world.customers.find_live(customer_id)
    if customer is None or (invoice is not None and invoice.customer != customer_id):
        raise no_such("customer", customer_id, "customer")
    return customer


def _item(world: World, call: Call) -> InvoiceItem:
    """Recorded: here Stripe words its 404 differently, without a space before the bracket."""
    item_id = call.path["invoiceitem"]
    item = world.items.find_live(item_id)
    if item is None:
        error = not_found("Invoice Item", item_id, "id")
        error.message += "(livemode=false)"
        raise error
    return item


def _invoice(world: World, item: InvoiceItem) -> Invoice | None:
    return None if item.invoice is None else world.invoices.find(item.invoice)


OPERATIONS = [
    Operation(
        "POST", "/v1/invoiceitems", params.InvoiceItemCreateParams, create, (*CHARGE_PARAMS, *NEW)
    ),
    Operation(
        "GET",
        "/v1/invoiceitems",
        params.InvoiceItemListParams,
        list_items,
        (*LISTING, "customer", "invoice", "pending"),
    ),
    Operation("GET", "/v1/invoiceitems/{invoiceitem}", params.InvoiceItemRetrieveParams, retrieve),
    Operation(
        "POST",
        "/v1/invoiceitems/{invoiceitem}",
        params.InvoiceItemUpdateParams,
        update,
        CHARGE_PARAMS,
    ),
    Operation("DELETE", "/v1/invoiceitems/{invoiceitem}", params.InvoiceItemDeleteParams, delete),
]
