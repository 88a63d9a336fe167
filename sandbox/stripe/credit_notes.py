"""/v1/credit_notes: less is due of an open invoice; of a paid one money goes back.

No recording of these is at hand: fields are those of the SDK's types, the wording is ours.
"""

from stripe import params

from sandbox.stripe.errors import Body, StripeError, missing, no_such, not_found
from sandbox.stripe.events import emit
from sandbox.stripe.finalization import credit_balance
from sandbox.stripe.invoice_body import announce, invoice_body
from sandbox.stripe.lists import Span, Window
from sandbox.stripe.money_back import charged, give_refund, refunded
from sandbox.stripe.operations import LISTING, Call, Operation
from sandbox.stripe.params import Params, merge_metadata
from sandbox.stripe.payment import PAID, mark_paid
from sandbox.stripe.records import CreditNote, Invoice, Refund, Status
from sandbox.stripe.world import Cause, World

WAYS = ("refund_amount", "credit_amount", "out_of_band_amount")


def create(world: World, call: Call) -> Body:
    """POST /v1/credit_notes. Of what is paid, the three ways must make up the amount."""
    wanted = call.params
    invoice = world.invoices.find_live(wanted["invoice"])
    if invoice is None:
        raise no_such("invoice", wanted["invoice"], "invoice")
    if "amount" not in wanted:
        raise missing("amount")
    _check(world, invoice, wanted)
    note = CreditNote(
        id=world.ids.new("cn"),
        created=call.now,
        invoice=invoice.id,
        customer=invoice.customer,
        currency=invoice.currency,
        amount=wanted["amount"],
        ways={name: wanted.get(name, 0) for name in WAYS},
        is_post_payment=invoice.status is Status.PAID,
        number=f"{invoice.number}-CN-{len(list(world.credit_notes.owned_by(invoice.id))) + 1:02}",
        memo=wanted.get("memo"),
        reason=wanted.get("reason"),
        metadata=merge_metadata({}, wanted.get("metadata", {})),
    )
    if note.ways["refund_amount"]:
        note.refund = world.ids.new("re")
    before = invoice_body(world, invoice)
    world.credit_notes.add(note)
    body = credit_note_body(note)
    emit(world, "credit_note.created", body, call.cause)
    _give_back(world, invoice, note, before, call.cause)
    return body


def retrieve(world: World, call: Call) -> Body:
    """GET /v1/credit_notes/{id}"""
    note = world.credit_notes.find(call.path["id"])
    if note is None:
        raise not_found("credit note", call.path["id"], "id")
    return credit_note_body(note)


def list_credit_notes(world: World, call: Call) -> Body:
    """GET /v1/credit_notes"""
    wanted = call.params
    customer = wanted.get("customer")
    page = world.credit_notes.page(
        Window.of(wanted),
        span=Span.of(wanted.get("created")),
        owner=wanted.get("invoice"),
        keep=lambda note: customer in (None, note.customer),
    )
    return page.body("/v1/credit_notes", credit_note_body)


def credit_note_body(note: CreditNote) -> Body:
    """The credit_note object."""
    return {
        "id": note.id,
        "object": "credit_note",
        "amount": note.amount,
        "amount_shipping": 0,
        "created": note.created,
        "currency": note.currency,
        "customer": note.customer,
        "customer_account": None,
        "customer_balance_transaction": None,
        "discount_amount": 0,
        "discount_amounts": [],
        "effective_at": note.created,
        "invoice": note.invoice,
        "livemode": False,
        "memo": note.memo,
        "metadata": note.metadata,
        "number": note.number,
        "out_of_band_amount": note.ways["out_of_band_amount"] or None,
        "post_payment_amount": note.amount if note.is_post_payment else 0,
        "pre_payment_amount": 0 if note.is_post_payment else note.amount,
        "pretax_credit_amounts": [],
        "reason": note.reason,
        "refunds": _refunds(note),
        "shipping_cost": None,
        "status": "issued",
        "subtotal": note.amount,
        "subtotal_excluding_tax": note.amount,
        "total": note.amount,
        "total_excluding_tax": note.amount,
        "total_taxes": [],
        "type": "post_payment" if note.is_post_payment else "pre_payment",
        "voided_at": None,
    }


def _refunds(note: CreditNote) -> list[Body]:
    if note.refund is None:
        return []
    return [
        {
            "amount_refunded": note.ways["refund_amount"],
            "payment_record_refund": None,
            "refund": note.refund,
            "type": "refund",
        }
    ]


def _check(world: World, invoice: Invoice, wanted: Params) -> None:
    amount = wanted["amount"]
    if amount <= 0 or any(wanted.get(name, 0) < 0 for name in WAYS):
        raise StripeError("Credit note amounts must be positive.", param="amount")
    if invoice.status not in (Status.OPEN, Status.PAID):
        raise StripeError("Credit notes can only be issued on open or paid invoices.")
    if invoice.payment_clears_at is not None:
        raise StripeError("This invoice has a payment that is still pending.")
    ways = sum(wanted.get(name, 0) for name in WAYS)
    if invoice.status is Status.PAID:
        _check_paid(world, invoice, wanted, ways)
    elif ways:
        raise StripeError("Nothing can be refunded or credited on an invoice that is not paid.")
    elif amount > invoice.amount_due:
        raise StripeError("The credit note is larger than what remains of the invoice.")


def _check_paid(world: World, invoice: Invoice, wanted: Params, ways: int) -> None:
    credited = sum(note.amount for note in world.credit_notes.owned_by(invoice.id))
    if wanted["amount"] > invoice.total - credited:
        raise StripeError("The credit note is larger than what is left of the invoice.")
    if ways != wanted["amount"]:
        raise StripeError(
            "The sum of refund_amount, credit_amount and out_of_band_amount must equal the credit"
            " note amount."
        )
    if wanted.get("refund_amount", 0) > charged(invoice) - refunded(world, invoice):
        raise StripeError("The refund is larger than what was charged.", param="refund_amount")


def _give_back(
    world: World, invoice: Invoice, note: CreditNote, before: Body, cause: Cause
) -> None:
    if note.is_post_payment:
        credit_balance(world, invoice, note.ways["credit_amount"], cause)
        announce(world, invoice, cause, before)
        _refund(world, invoice, note, cause)
        return
    invoice.amount_due -= note.amount
    if invoice.amount_due == 0:
        mark_paid(invoice, cause.now)
    announce(world, invoice, cause, before, *(PAID if invoice.status is Status.PAID else ()))


def _refund(world: World, invoice: Invoice, note: CreditNote, cause: Cause) -> None:
    if note.refund is None:
        return
    refund = Refund(
        id=note.refund,
        created=cause.now,
        invoice=invoice.id,
        amount=note.ways["refund_amount"],
        currency=invoice.currency,
        reason=None,
        metadata={},
    )
    give_refund(world, refund, invoice, cause)


OPERATIONS = [
    Operation(
        "POST",
        "/v1/credit_notes",
        params.CreditNoteCreateParams,
        create,
        ("invoice", "amount", "memo", "reason", "metadata", *WAYS),
    ),
    Operation(
        "GET",
        "/v1/credit_notes",
        params.CreditNoteListParams,
        list_credit_notes,
        (*LISTING, "customer", "invoice"),
    ),
    Operation("GET", "/v1/credit_notes/{id}", params.CreditNoteRetrieveParams, retrieve),
]
