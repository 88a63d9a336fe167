"""An invoice's changes of state, by call or by clock: finalize, pay, void, give up, send."""

from stripe import params

from sandbox.stripe.errors import Body, StripeError, card_declined
from sandbox.stripe.finalization import finalize_draft, give_back_balance
from sandbox.stripe.invoice_body import FINALIZES_AFTER_S, announce, invoice_body
from sandbox.stripe.invoices import find_invoice
from sandbox.stripe.operations import Call, Operation
from sandbox.stripe.payment import PAID, card_for, charge, clear_payment, mark_paid
from sandbox.stripe.records import Card, Invoice, Status
from sandbox.stripe.world import Cause, World


def finalize(world: World, call: Call) -> Body:
    """POST /v1/invoices/{invoice}/finalize"""
    invoice = find_invoice(world, call, "id")
    if invoice.status is not Status.DRAFT:
        raise StripeError(
            "This invoice is already finalized, you can't re-finalize a non-draft invoice."
        )
    invoice.auto_advance = call.params.get("auto_advance", invoice.auto_advance)
    finalize_draft(world, invoice, call.cause)
    return invoice_body(world, invoice)


def pay(world: World, call: Call) -> Body:
    """POST /v1/invoices/{invoice}/pay. Recorded: a draft is finalized and paid in the one call."""
    invoice = find_invoice(world, call, "id")
    _check_payable(invoice)
    out_of_band = call.params.get("paid_out_of_band", False)
    card = card_for(world, invoice, call.params.get("payment_method"))
    if card is Card.NONE and not out_of_band:
        raise _no_payment_method()
    if invoice.status is Status.DRAFT:
        finalize_draft(world, invoice, call.cause)
    if invoice.status is not Status.PAID:
        if out_of_band:
            _pay_out_of_band(world, invoice, call.cause)
        else:
            charge(world, invoice, call.cause, card)
            if card is Card.DECLINE:
                raise card_declined()
    return invoice_body(world, invoice)


def void(world: World, call: Call) -> Body:
    """POST /v1/invoices/{invoice}/void. Recorded: amounts, number and addresses stay."""
    invoice = find_invoice(world, call, "id")
    if invoice.status is Status.PAID:
        raise StripeError("Invoices with `paid` payments cannot be voided.")
    _check_open(invoice)
    before = invoice_body(world, invoice)
    invoice.status = Status.VOID
    invoice.voided_at = call.now
    _stop_collecting(invoice)
    give_back_balance(world, invoice, call.cause)
    return announce(world, invoice, call.cause, before, "invoice.voided")


def mark_uncollectible(world: World, call: Call) -> Body:
    """POST /v1/invoices/{invoice}/mark_uncollectible"""
    invoice = find_invoice(world, call, "id")
    if invoice.status is Status.UNCOLLECTIBLE:
        raise StripeError("This invoice has already been marked uncollectible.")
    _check_open(invoice)
    before = invoice_body(world, invoice)
    invoice.status = Status.UNCOLLECTIBLE
    invoice.marked_uncollectible_at = call.now
    _stop_collecting(invoice)
    return announce(world, invoice, call.cause, before, "invoice.marked_uncollectible")


def send(world: World, call: Call) -> Body:
    """POST /v1/invoices/{invoice}/send. Recorded: finalizes a draft, leaves an open one alone."""
    invoice = find_invoice(world, call, "invoice")
    if invoice.status not in (Status.DRAFT, Status.OPEN):
        raise StripeError(
            "This invoice cannot be sent right now. Please contact us via"
            " https://support.stripe.com/contact with details, so we can help."
        )
    if invoice.status is Status.DRAFT:
        finalize_draft(world, invoice, call.cause)
    if invoice.status is Status.OPEN:
        announce(world, invoice, call.cause, invoice_body(world, invoice), "invoice.sent")
    return invoice_body(world, invoice)


def advance_due(world: World, now: int) -> None:
    """Do what Stripe does by itself, for every invoice that has something due by `now`.

    Each deed is dated `now`, also when the clock has jumped far past the instant it fell due.
    """
    while (invoice_id := world.due_invoices.pop_due(now)) is not None:
        invoice = world.invoices.find_live(invoice_id)
        if invoice is not None:
            _advance(world, invoice, Cause(now))


def _advance(world: World, invoice: Invoice, cause: Cause) -> None:
    """The agenda only says when to look; the invoice says whether there is anything to do."""
    if invoice.status is Status.DRAFT:
        if invoice.auto_advance and cause.now >= invoice.created + FINALIZES_AFTER_S:
            finalize_draft(world, invoice, cause)
        return
    if _is_due(invoice.payment_clears_at, cause.now):
        clear_payment(world, invoice, cause)
    elif _is_due(invoice.next_payment_attempt, cause.now):
        charge(world, invoice, cause, card_for(world, invoice))


def _is_due(instant: int | None, now: int) -> bool:
    return instant is not None and instant <= now


def _check_payable(invoice: Invoice) -> None:
    if invoice.status is Status.PAID:
        raise StripeError("Invoice is already paid")
    if invoice.status is Status.VOID:
        raise StripeError("Voided invoices cannot be paid.")
    _check_not_pending(invoice)


def _check_open(invoice: Invoice) -> None:
    if invoice.status is not Status.OPEN:
        raise StripeError("You can only pass in open invoices. This invoice isn't open.")
    _check_not_pending(invoice)


def _check_not_pending(invoice: Invoice) -> None:
    if invoice.payment_clears_at is not None:
        raise StripeError(
            "This invoice can't be modified while a payment on it is still pending. Wait for the"
            " payment to clear, then try again."
        )


def _stop_collecting(invoice: Invoice) -> None:
    invoice.auto_advance = False
    invoice.next_payment_attempt = None


def _pay_out_of_band(world: World, invoice: Invoice, cause: Cause) -> None:
    """Recorded: no attempt is made, so `attempted` stays false."""
    before = invoice_body(world, invoice)
    invoice.paid_out_of_band = True
    mark_paid(invoice, cause.now)
    announce(world, invoice, cause, before, *PAID)


def _no_payment_method() -> StripeError:
    return StripeError(
        "There is no `default_payment_method` set on the associated Customer, Invoice, or"
        " Subscription. Set a default on one of those objects, or specify the Payment Method you"
        " wish to use in the `payment_method` parameter.",
        status=402,
        code="missing",
    )


def _path(verb: str) -> str:
    return f"/v1/invoices/{{invoice}}/{verb}"


OPERATIONS = [
    Operation(
        "POST",
        _path("finalize"),
        params.InvoiceFinalizeInvoiceParams,
        finalize,
        ("auto_advance",),
    ),
    Operation(
        "POST",
        _path("pay"),
        params.InvoicePayParams,
        pay,
        ("off_session", "paid_out_of_band", "payment_method"),
    ),
    Operation("POST", _path("void"), params.InvoiceVoidInvoiceParams, void),
    Operation(
        "POST",
        _path("mark_uncollectible"),
        params.InvoiceMarkUncollectibleParams,
        mark_uncollectible,
    ),
    Operation("POST", _path("send"), params.InvoiceSendInvoiceParams, send),
]
