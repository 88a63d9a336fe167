"""Which events are our business, by what noun of Stripe's they are about; which we ask for."""

HANDLED_TYPES = (
    "invoice.finalized",
    "invoice.finalization_failed",
    "invoice.paid",
    "invoice.payment_failed",
    "invoice.payment_action_required",
    "invoice.overdue",
    "invoice.overpaid",
    "invoice.voided",
    "invoice.marked_uncollectible",
    "invoice.deleted",
    "invoice_payment.paid",
    "credit_note.created",
    "credit_note.voided",
    "charge.refunded",
    "refund.created",
    "refund.updated",
    "refund.failed",
    "charge.dispute.created",
    "charge.dispute.closed",
    "customer.deleted",
)
"""What webhook endpoints should send, and what the back-fill asks for: Stripe takes 20 at most."""

INVOICE = "invoice"
CUSTOMER = "customer"
_NOUNS = (
    ("invoice.", INVOICE),
    ("invoice_payment.", "invoice_payment"),
    ("credit_note.", "credit_note"),
    ("refund.", "refund"),
    ("charge.refund.", "refund"),
    ("charge.refunded", "charge"),
    ("charge.dispute.", "charge.dispute"),
    ("customer.deleted", CUSTOMER),
)


def noun_of(event_type: str) -> str | None:
    """What kind of object an event is about; None when that can be no invoice's business."""
    return next((noun for start, noun in _NOUNS if event_type.startswith(start)), None)
