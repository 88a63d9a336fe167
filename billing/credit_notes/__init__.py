"""Credit notes: money given back on an issued invoice. Made here first, then told to Stripe."""

from billing.credit_notes.creating import (
    CreditNoteTooLarge,
    NewCreditNote,
    NotCreditable,
    create_credit_note,
)
from billing.credit_notes.reading import (
    InvoiceCorrections,
    corrections_by_invoice,
    corrections_of,
    stuck_credit_notes,
)
from billing.credit_notes.sending import push_credit_notes_due, retry_credit_note

__all__ = [
    "CreditNoteTooLarge",
    "InvoiceCorrections",
    "NewCreditNote",
    "NotCreditable",
    "corrections_by_invoice",
    "corrections_of",
    "create_credit_note",
    "push_credit_notes_due",
    "retry_credit_note",
    "stuck_credit_notes",
]
