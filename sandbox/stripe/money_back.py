"""Charges, and what takes their money away again: refunds and disputes.

A charge is not kept: there is one for each invoice that was paid by card or bank, of the same id's
tail, and so is its payment intent. Recordings of these are not at hand: fields are those of the
SDK's types, the wording is ours.
"""

from sandbox.stripe.errors import Body, StripeError
from sandbox.stripe.events import emit
from sandbox.stripe.records import Dispute, DisputeStatus, Invoice, Refund, Status
from sandbox.stripe.world import Cause, World

CHARGE, INTENT = "ch_", "pi_"


def charge_id(invoice: Invoice) -> str:
    """The charge that paid it."""
    return CHARGE + invoice.id.removeprefix("in_")


def intent_id(invoice: Invoice) -> str:
    """The payment intent that paid it."""
    return INTENT + invoice.id.removeprefix("in_")


def charged_invoice(world: World, payment_id: str) -> Invoice | None:
    """The invoice that a charge or a payment intent paid; None if there is no such charge."""
    prefix = INTENT if payment_id.startswith(INTENT) else CHARGE
    if not payment_id.startswith(prefix):
        return None
    invoice = world.invoices.find_live(f"in_{payment_id.removeprefix(prefix)}")
    return invoice if invoice is not None and charged(invoice) else None


def charged(invoice: Invoice) -> int:
    """What a charge brought in, in minor units."""
    is_charged = invoice.status is Status.PAID and not invoice.paid_out_of_band
    return invoice.amount_paid if is_charged else 0


def refunded(world: World, invoice: Invoice) -> int:
    """What was given back of that, by credit notes or without, in minor units."""
    return sum(refund.amount for refund in world.refunds.owned_by(invoice.id))


def give_refund(world: World, refund: Refund, invoice: Invoice, cause: Cause) -> None:
    """Give money back, and tell so; the amount must have been checked."""
    world.refunds.add(refund)
    emit(world, "refund.created", refund_body(refund, invoice), cause)
    emit(world, "charge.refunded", charge_body(world, invoice), cause)


def open_dispute(
    world: World, invoice: Invoice, amount: int | None, reason: str, cause: Cause
) -> Dispute:
    """A cardholder wants money back by way of the bank, which takes it at once."""
    if not charged(invoice):
        raise StripeError("Only what was charged can be disputed.")
    if any(world.disputes.owned_by(invoice.id)):
        raise StripeError("This charge has been disputed already.")
    dispute = world.disputes.add(
        Dispute(
            id=world.ids.new("dp"),
            created=cause.now,
            invoice=invoice.id,
            amount=charged(invoice) if amount is None else amount,
            currency=invoice.currency,
            reason=reason,
        )
    )
    for event in ("charge.dispute.created", "charge.dispute.funds_withdrawn"):
        emit(world, event, dispute_body(dispute, invoice), cause)
    return dispute


def close_dispute(world: World, dispute: Dispute, status: DisputeStatus, cause: Cause) -> None:
    """The bank has decided."""
    if dispute.status is not DisputeStatus.NEEDS_RESPONSE:
        raise StripeError("This dispute is closed already.")
    invoice = world.invoices.find(dispute.invoice)
    assert invoice is not None, dispute.invoice
    dispute.status = status
    if status is DisputeStatus.WON:
        emit(world, "charge.dispute.funds_reinstated", dispute_body(dispute, invoice), cause)
    emit(world, "charge.dispute.closed", dispute_body(dispute, invoice), cause)


def refund_body(refund: Refund, invoice: Invoice) -> Body:
    """The refund object."""
    return {
        "id": refund.id,
        "object": "refund",
        "amount": refund.amount,
        "balance_transaction": None,
        "charge": charge_id(invoice),
        "created": refund.created,
        "currency": refund.currency,
        "metadata": refund.metadata,
        "payment_intent": intent_id(invoice),
        "reason": refund.reason,
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": "succeeded",
        "transfer_reversal": None,
    }


def charge_body(world: World, invoice: Invoice) -> Body:
    """The charge object, as far as it says something of an invoice's money."""
    amount, back = invoice.amount_paid, refunded(world, invoice)
    return {
        "id": charge_id(invoice),
        "object": "charge",
        "amount": amount,
        "amount_captured": amount,
        "amount_refunded": back,
        "captured": True,
        "created": invoice.paid_at,
        "currency": invoice.currency,
        "customer": invoice.customer,
        "disputed": any(world.disputes.owned_by(invoice.id)),
        "livemode": False,
        "metadata": {},
        "paid": True,
        "payment_intent": intent_id(invoice),
        "refunded": back == amount,
        "status": "succeeded",
    }


def dispute_body(dispute: Dispute, invoice: Invoice) -> Body:
    """The dispute object."""
    return {
        "id": dispute.id,
        "object": "dispute",
        "amount": dispute.amount,
        "balance_transactions": [],
        "charge": charge_id(invoice),
        "created": dispute.created,
        "currency": dispute.currency,
        "is_charge_refundable": False,
        "livemode": False,
        "metadata": {},
        "payment_intent": intent_id(invoice),
        "reason": dispute.reason,
        "status": dispute.status,
    }
