"""What became of an invoice's money: /v1/refunds, /v1/charges, /v1/disputes, and the payments."""

from collections.abc import Callable

from stripe import params

from sandbox.stripe.errors import Body, StripeError, no_such, not_found
from sandbox.stripe.lists import Span, Window
from sandbox.stripe.money_back import (
    charge_body,
    charged,
    charged_invoice,
    dispute_body,
    give_refund,
    intent_id,
    refund_body,
    refunded,
)
from sandbox.stripe.operations import LISTING, Call, Operation
from sandbox.stripe.params import Params, merge_metadata
from sandbox.stripe.records import Dispute, Invoice, Refund
from sandbox.stripe.world import World

PAYMENTS = ("charge", "payment_intent")


def create(world: World, call: Call) -> Body:
    """POST /v1/refunds: all that is left of a charge, unless an amount is given."""
    invoice = _paid_by(world, call.params)
    if invoice is None:
        raise StripeError(
            "One of the following params should be provided for this request: payment_intent or"
            " charge."
        )
    left = charged(invoice) - refunded(world, invoice)
    amount = call.params.get("amount", left)
    if left == 0:
        raise StripeError("This charge has already been refunded.", code="charge_already_refunded")
    if not 0 < amount <= left:
        raise StripeError(f"The refund must be of 1 to {left} minor units.", param="amount")
    refund = Refund(
        id=world.ids.new("re"),
        created=call.now,
        invoice=invoice.id,
        amount=amount,
        currency=invoice.currency,
        reason=call.params.get("reason"),
        metadata=merge_metadata({}, call.params.get("metadata", {})),
    )
    give_refund(world, refund, invoice, call.cause)
    return refund_body(refund, invoice)


def retrieve(world: World, call: Call) -> Body:
    """GET /v1/refunds/{refund}"""
    refund = world.refunds.find(call.path["refund"])
    if refund is None:
        raise not_found("refund", call.path["refund"], "id")
    return refund_body(refund, _invoice(world, refund))


def list_refunds(world: World, call: Call) -> Body:
    """GET /v1/refunds"""
    of = _paid_by(world, call.params)
    page = world.refunds.page(
        Window.of(call.params),
        span=Span.of(call.params.get("created")),
        owner=None if of is None else of.id,
    )
    return page.body("/v1/refunds", lambda refund: refund_body(refund, _invoice(world, refund)))


def retrieve_charge(world: World, call: Call) -> Body:
    """GET /v1/charges/{charge}"""
    invoice = charged_invoice(world, call.path["charge"])
    if invoice is None:
        raise not_found("charge", call.path["charge"], "id")
    return charge_body(world, invoice)


def retrieve_dispute(world: World, call: Call) -> Body:
    """GET /v1/disputes/{dispute}"""
    dispute = world.disputes.find(call.path["dispute"])
    if dispute is None:
        raise not_found("dispute", call.path["dispute"], "dispute")
    return dispute_body(dispute, _invoice(world, dispute))


def list_disputes(world: World, call: Call) -> Body:
    """GET /v1/disputes"""
    of = _paid_by(world, call.params)
    page = world.disputes.page(
        Window.of(call.params),
        span=Span.of(call.params.get("created")),
        owner=None if of is None else of.id,
    )
    return page.body("/v1/disputes", lambda each: dispute_body(each, _invoice(world, each)))


def list_payments(world: World, call: Call) -> Body:
    """GET /v1/invoice_payments: the way from a charge's payment intent to its invoice."""
    intent = (call.params.get("payment") or {}).get("payment_intent")
    invoice_id = call.params.get("invoice")
    if invoice_id is not None:
        invoice = world.invoices.find_live(invoice_id)
    elif intent is not None:
        invoice = charged_invoice(world, intent)
    else:
        raise StripeError("The fake Stripe lists the payments of one invoice, or of one intent.")
    is_its = invoice is not None and charged(invoice) and intent in (None, intent_id(invoice))
    data = [_payment_body(invoice)] if invoice is not None and is_its else []
    return {"object": "list", "data": data, "has_more": False, "url": "/v1/invoice_payments"}


def _payment_body(invoice: Invoice) -> Body:
    return {
        "id": f"inpay_{invoice.id.removeprefix('in_')}",
        "object": "invoice_payment",
        "amount_paid": invoice.amount_paid,
        "amount_requested": invoice.amount_due,
        "created": invoice.paid_at,
        "currency": invoice.currency,
        "invoice": invoice.id,
        "is_default": True,
        "livemode": False,
        "payment": {"type": "payment_intent", "payment_intent": intent_id(invoice)},
        "status": "paid",
        "status_transitions": {"canceled_at": None, "paid_at": invoice.paid_at},
    }


def _paid_by(world: World, wanted: Params) -> Invoice | None:
    """The invoice that the charge or the intent among the parameters paid; None if none is."""
    for param in PAYMENTS:
        if (payment_id := wanted.get(param)) is not None:
            invoice = charged_invoice(world, payment_id)
            if invoice is None:
                raise no_such(param, payment_id, param)
            return invoice
    return None


def _invoice(world: World, of: Refund | Dispute) -> Invoice:
    invoice = world.invoices.find(of.invoice)
    assert invoice is not None, of.invoice
    return invoice


def _get(path: str, shape: type, run: Callable[[World, Call], Body], *heeded: str) -> Operation:
    return Operation("GET", path, shape, run, heeded)


OPERATIONS = [
    Operation(
        "POST",
        "/v1/refunds",
        params.RefundCreateParams,
        create,
        (*PAYMENTS, "amount", "reason", "metadata"),
    ),
    _get("/v1/refunds", params.RefundListParams, list_refunds, *LISTING, *PAYMENTS),
    _get("/v1/refunds/{refund}", params.RefundRetrieveParams, retrieve),
    _get("/v1/charges/{charge}", params.ChargeRetrieveParams, retrieve_charge),
    _get("/v1/disputes", params.DisputeListParams, list_disputes, *LISTING, *PAYMENTS),
    _get("/v1/disputes/{dispute}", params.DisputeRetrieveParams, retrieve_dispute),
    _get(
        "/v1/invoice_payments",
        params.InvoicePaymentListParams,
        list_payments,
        "limit",
        "invoice",
        "payment",
    ),
]
