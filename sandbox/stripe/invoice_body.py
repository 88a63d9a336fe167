"""The invoice object and its lines as JSON, and the telling of what changed."""

from typing import Any

from sandbox.stripe.charges import period_body, pricing_body
from sandbox.stripe.errors import Body
from sandbox.stripe.events import emit
from sandbox.stripe.records import Customer, Details, Invoice, InvoiceItem, Status
from sandbox.stripe.settlement import settle
from sandbox.stripe.world import Cause, World

EMBEDDED_LINES_MAX = 10
FINALIZES_AFTER_S = 3601
ATTEMPTS_AFTER_S = 3600

# What an invoice says always that knows no tax, shipping, subscription or sub-account.
ALWAYS: dict[str, Any] = {
    "account_country": "US",
    "account_name": "Fake Stripe, not real",
    "account_tax_ids": None,
    "amount_overpaid": 0,
    "amount_shipping": 0,
    "application": None,
    "automatic_tax": {
        "disabled_reason": None,
        "enabled": False,
        "liability": None,
        "provider": None,
        "status": None,
    },
    "billing_reason": "manual",
    "customer_account": None,
    "customer_tax_ids": [],
    "default_source": None,
    "default_tax_rates": [],
    "from_invoice": None,
    "issuer": {"type": "self"},
    "last_finalization_error": None,
    "latest_revision": None,
    "livemode": False,
    "on_behalf_of": None,
    "parent": None,
    "payment_settings": {
        "default_mandate": None,
        "payment_method_options": None,
        "payment_method_types": None,
    },
    "receipt_number": None,
    "rendering": None,
    "shipping_cost": None,
    "shipping_details": None,
    "status_details": None,
    "test_clock": None,
    "total_pretax_credit_amounts": [],
    "total_taxes": [],
}


def invoice_body(world: World, invoice: Invoice) -> Body:
    """The invoice object of API version 2026-10-28.endive."""
    customer = world.customers.find(invoice.customer)
    assert customer is not None, invoice.customer
    return {
        "id": invoice.id,
        "object": "invoice",
        **ALWAYS,
        **(invoice.billed_to or billed_to(customer)),
        **invoice.details,
        **_amounts(invoice, customer),
        **_credited(world, invoice),
        **_schedule(invoice),
        **_addresses(world, invoice),
        "attempt_count": invoice.attempt_count,
        "attempted": invoice.attempted,
        "auto_advance": invoice.auto_advance,
        "collection_method": invoice.collection_method,
        "created": invoice.created,
        "currency": invoice.currency,
        "customer": invoice.customer,
        "discounts": [] if invoice.discount is None else [invoice.discount.id],
        "lines": _embedded_lines(invoice),
        "metadata": invoice.metadata,
        "number": invoice.number,
        "period_end": invoice.created,
        "period_start": invoice.created,
        "status": invoice.status,
        "webhooks_delivered_at": invoice.created,
    }


def announce(world: World, invoice: Invoice, cause: Cause, before: Body, *events: str) -> Body:
    """Tell that an invoice changed, and what that meant; returns how it is now."""
    body = invoice_body(world, invoice)
    emit(world, "invoice.updated", body, cause, before)
    for event in events:
        emit(world, event, body, cause)
    return body


def line_body(invoice: Invoice, line: InvoiceItem) -> Body:
    """The line_item object: an invoice item as the invoice shows it."""
    return {
        "id": line.line_id,
        "object": "line_item",
        "amount": line.amount,
        "currency": line.currency,
        "description": line.description,
        "discount_amounts": _taken_off(invoice, invoice.discounts().get(line.id, 0)),
        "discountable": line.discountable,
        "discounts": [],
        "invoice": line.invoice,
        "livemode": False,
        "metadata": line.metadata,
        "parent": {
            "invoice_item_details": {
                "invoice_item": line.id,
                "proration": False,
                "proration_details": {"credited_items": None},
                "subscription": None,
            },
            "subscription_item_details": None,
            "type": "invoice_item_details",
        },
        "period": period_body(line),
        "pretax_credit_amounts": [],
        "pricing": pricing_body(line),
        "quantity": 1,
        "quantity_decimal": "1",
        "subtotal": line.amount,
        "taxes": [],
    }


def lines_url(invoice: Invoice) -> str:
    """Where the lines are listed."""
    return f"/v1/invoices/{invoice.id}/lines"


def billed_to(customer: Customer) -> Details:
    """What an invoice says of its customer: live on a draft, frozen by finalization."""
    return {
        "customer_address": customer.details["address"],
        "customer_email": customer.details["email"],
        "customer_name": customer.details["name"],
        "customer_phone": customer.details["phone"],
        "customer_shipping": customer.details["shipping"],
        "customer_tax_exempt": customer.details["tax_exempt"],
    }


def _embedded_lines(invoice: Invoice) -> Body:
    newest = invoice.lines[: -EMBEDDED_LINES_MAX - 1 : -1]
    return {
        "object": "list",
        "data": [line_body(invoice, line) for line in newest],
        "has_more": len(invoice.lines) > EMBEDDED_LINES_MAX,
        "total_count": len(invoice.lines),
        "url": lines_url(invoice),
    }


def _amounts(invoice: Invoice, customer: Customer) -> Body:
    total, amount_due, starting = invoice.total, invoice.amount_due, invoice.starting_balance
    subtotal = invoice.subtotal
    if invoice.status is Status.DRAFT:
        starting = customer.balance_in(invoice.currency)
        amount_due = settle(total, starting, invoice.currency).amount_due
    return {
        "amount_due": amount_due,
        "amount_paid": invoice.amount_paid,
        "amount_paid_off_stripe": invoice.amount_paid if invoice.paid_out_of_band else 0,
        "amount_remaining": amount_due - invoice.amount_paid,
        "ending_balance": invoice.ending_balance,
        "starting_balance": starting,
        "subtotal": subtotal,
        "subtotal_excluding_tax": subtotal,
        "total": total,
        "total_discount_amounts": _taken_off(invoice, subtotal - total),
        "total_excluding_tax": total,
    }


def _taken_off(invoice: Invoice, amount: int) -> list[Body]:
    if invoice.discount is None or not amount:
        return []
    return [{"amount": amount, "discount": invoice.discount.id}]


def _credited(world: World, invoice: Invoice) -> Body:
    """Before payment they lower `amount_due`, and never the total."""
    notes = list(world.credit_notes.owned_by(invoice.id))
    after = sum(note.amount for note in notes if note.is_post_payment)
    return {
        "post_payment_credit_notes_amount": after,
        "pre_payment_credit_notes_amount": sum(note.amount for note in notes) - after,
    }


def _schedule(invoice: Invoice) -> Body:
    """Instants. Recorded: a draft's come from `created`, so clearing and restoring is lossless."""
    finalizes_at, attempts_at = None, invoice.next_payment_attempt
    if invoice.status is Status.DRAFT and invoice.auto_advance:
        finalizes_at = invoice.created + FINALIZES_AFTER_S
        if invoice.collection_method == "charge_automatically":
            attempts_at = invoice.created + ATTEMPTS_AFTER_S
    return {
        "automatically_finalizes_at": finalizes_at,
        "due_date": invoice.due_date,
        "effective_at": invoice.effective_at,
        "next_payment_attempt": attempts_at,
        "status_transitions": {
            "finalized_at": invoice.finalized_at,
            "marked_uncollectible_at": invoice.marked_uncollectible_at,
            "paid_at": invoice.paid_at,
            "voided_at": invoice.voided_at,
        },
    }


def _addresses(world: World, invoice: Invoice) -> Body:
    """Both lead to a page of this fake, where a person sees the invoice."""
    if invoice.finalized_at is None:
        return {"hosted_invoice_url": None, "invoice_pdf": None}
    hosted = f"{world.base_url}/hosted/{invoice.id}"
    return {"hosted_invoice_url": hosted, "invoice_pdf": f"{hosted}?as=pdf"}
