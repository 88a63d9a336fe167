"""What an invoice's state is called for people: the effect on them, never our internal cause."""

from dataclasses import dataclass
from enum import StrEnum

from billing.models import Invoice, InvoiceStatus, InvoiceSync, SyncState
from billing.rules.invoicing import Settlement


class Tone(StrEnum):
    """How a label looks; its words say the same, so nothing is told by colour alone."""

    NEUTRAL = "neutral"
    ACTIVE = "active"
    GOOD = "good"
    WARNING = "warning"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Label:
    """A state in a word or three, and a sentence for whoever wonders. `is_final`: it stays so."""

    text: str
    tone: Tone
    meaning: str
    is_final: bool = False


ESTIMATING = Label(
    "Estimating", Tone.ACTIVE, "The period is still running; this is what it comes to so far."
)
CLOSING = Label(
    "Closing",
    Tone.NEUTRAL,
    "The period has ended; we wait a little for late usage before the invoice is issued.",
)
_ISSUED = Label("Issued", Tone.NEUTRAL, "The invoice is final and about to be sent.")
_WAITING = Label(
    "Waiting to be sent",
    Tone.WARNING,
    "The invoice is final. Sending it is delayed; we keep trying and will not charge you twice.",
)
_SENT = Label("Sent", Tone.ACTIVE, "The invoice is with our payment processor.")
_HELD = Label("Held", Tone.WARNING, "We are checking this invoice before it is sent.")
_PAYMENT_FAILED = Label(
    "Payment failed", Tone.BAD, "The payment was declined. The invoice is still to be paid."
)
_PAID = Label("Paid", Tone.GOOD, "Nothing is left to pay.", is_final=True)
_CREDITED = Label("Credited", Tone.GOOD, "Credited whole: nothing is left to pay.", is_final=True)
_VOID = Label("Void", Tone.NEUTRAL, "The invoice was withdrawn and is not owed.", is_final=True)
_UNCOLLECTIBLE = Label(
    "Uncollectible", Tone.BAD, "The invoice was not paid and is no longer collected.", is_final=True
)

_BY_STATUS = {
    InvoiceStatus.DRAFT: ESTIMATING,
    InvoiceStatus.CLOSING: CLOSING,
    InvoiceStatus.PAID: _PAID,
    InvoiceStatus.VOID: _VOID,
    InvoiceStatus.UNCOLLECTIBLE: _UNCOLLECTIBLE,
}


def label_of(invoice: Invoice) -> Label:
    """What people see; `invoice.sync` must be loaded."""
    if invoice.status is InvoiceStatus.OPEN:
        return _ISSUED if invoice.sync is None else _open_label(invoice.sync)
    if invoice.settled_by is Settlement.CREDIT_NOTE:
        return _CREDITED
    return _BY_STATUS[invoice.status]


def _open_label(sync: InvoiceSync) -> Label:
    if sync.payment_attempts:
        return _PAYMENT_FAILED
    match sync.state:
        case SyncState.PUSHED:
            return _SENT
        case SyncState.HELD:
            return _HELD
        case SyncState.FAILED:
            return _WAITING
        case _:
            return _WAITING if sync.error_code else _ISSUED
