"""An invoice's lines: list them all; add, change and remove them while it is a draft."""

from stripe import params

from sandbox.stripe.charges import (
    CHARGE_PARAMS,
    add_item,
    check_charge,
    check_editable,
    check_new_charge,
    check_room,
    edit_item,
    take_up,
)
from sandbox.stripe.errors import Body, no_such, not_found
from sandbox.stripe.invoice_body import announce, invoice_body, line_body, lines_url
from sandbox.stripe.invoices import find_invoice
from sandbox.stripe.lists import Window, cut
from sandbox.stripe.operations import Call, Operation
from sandbox.stripe.params import Params, merge_metadata
from sandbox.stripe.records import Invoice, InvoiceItem
from sandbox.stripe.world import World


def list_lines(world: World, call: Call) -> Body:
    """GET /v1/invoices/{invoice}/lines: all of them in pages, in the order of the invoice."""
    invoice = find_invoice(world, call, "invoice")
    window = Window.of(call.params)
    shown = invoice.lines[::-1]
    if window.starting_after is not None:
        start = _place(shown, window.starting_after, "starting_after")
        page = cut(shown[start + 1 :], window)
    elif window.ending_before is not None:
        end = _place(shown, window.ending_before, "ending_before")
        page = cut(reversed(shown[:end]), window)
    else:
        page = cut(shown, window)
    return page.body(lines_url(invoice), lambda line: line_body(invoice, line))


def add(world: World, call: Call) -> Body:
    """POST /v1/invoices/{invoice}/add_lines: all of them or, if one is refused, none."""
    invoice = _draft(world, call)
    wanted = call.params["lines"]
    for number, line in enumerate(wanted):
        check_new_charge(line, f"lines[{number}]")
    check_room(invoice, len(wanted))
    before, metadata = _begin(world, invoice, call.params)
    items = [
        add_item(world, line, customer=invoice.customer, currency=invoice.currency, now=call.now)
        for line in wanted
    ]
    take_up(world, invoice, items)
    invoice.metadata = metadata
    return announce(world, invoice, call.cause, before)


def update_many(world: World, call: Call) -> Body:
    """POST /v1/invoices/{invoice}/update_lines"""
    invoice = _draft(world, call)
    wanted = call.params["lines"]
    for number, line in enumerate(wanted):
        check_charge(line, f"lines[{number}]", also=("id",))
    lines = [_line(invoice, line["id"], f"lines[{n}][id]") for n, line in enumerate(wanted)]
    before, metadata = _begin(world, invoice, call.params)
    for line, change in zip(lines, wanted, strict=True):
        edit_item(line, change)
    invoice.metadata = metadata
    return announce(world, invoice, call.cause, before)


def remove(world: World, call: Call) -> Body:
    """POST /v1/invoices/{invoice}/remove_lines: `unassign` makes the item pending again."""
    invoice = _draft(world, call)
    wanted = call.params["lines"]
    lines = [_line(invoice, line["id"], f"lines[{n}][id]") for n, line in enumerate(wanted)]
    before, metadata = _begin(world, invoice, call.params)
    invoice.lines = [line for line in invoice.lines if line not in lines]
    for line, change in zip(lines, wanted, strict=True):
        line.deleted = change["behavior"] == "delete"
        line.invoice = line.line_id = None
    invoice.metadata = metadata
    return announce(world, invoice, call.cause, before)


def update_one(world: World, call: Call) -> Body:
    """POST /v1/invoices/{invoice}/lines/{line_item_id}. Recorded: answers the line."""
    invoice = _draft(world, call)
    line_id = call.path["line_item_id"]
    line = _find(invoice, line_id)
    if line is None:
        raise not_found("invoice line item", line_id, "line_item_id")
    check_charge(call.params)
    before = invoice_body(world, invoice)
    edit_item(line, call.params)
    announce(world, invoice, call.cause, before)
    return line_body(invoice, line)


def _draft(world: World, call: Call) -> Invoice:
    invoice = find_invoice(world, call, "invoice")
    check_editable(invoice)
    return invoice


def _begin(world: World, invoice: Invoice, wanted: Params) -> tuple[Body, dict[str, str]]:
    """How the invoice looks before the change, and its metadata after it."""
    metadata = merge_metadata(invoice.metadata, wanted.get("invoice_metadata", {}))
    return invoice_body(world, invoice), metadata


def _find(invoice: Invoice, line_id: str) -> InvoiceItem | None:
    return next((line for line in invoice.lines if line.line_id == line_id), None)


def _line(invoice: Invoice, line_id: str, param: str) -> InvoiceItem:
    line = _find(invoice, line_id)
    if line is None:
        raise no_such("invoice line item", line_id, param)
    return line


def _place(lines: list[InvoiceItem], line_id: str, param: str) -> int:
    for place, line in enumerate(lines):
        if line.line_id == line_id:
            return place
    raise no_such("invoice line item", line_id, param)


def _path(verb: str) -> str:
    return f"/v1/invoices/{{invoice}}/{verb}"


MANY = ("lines", "invoice_metadata")

OPERATIONS = [
    Operation(
        "GET",
        _path("lines"),
        params.InvoiceLineItemListParams,
        list_lines,
        ("limit", "starting_after", "ending_before"),
    ),
    Operation("POST", _path("add_lines"), params.InvoiceAddLinesParams, add, MANY),
    Operation("POST", _path("update_lines"), params.InvoiceUpdateLinesParams, update_many, MANY),
    Operation("POST", _path("remove_lines"), params.InvoiceRemoveLinesParams, remove, MANY),
    Operation(
        "POST",
        _path("lines/{line_item_id}"),
        params.InvoiceLineItemUpdateParams,
        update_one,
        CHARGE_PARAMS,
    ),
]
