"""Withdrawing issued invoices: in Stripe first, then here; and issuing a period again."""

from billing.voiding.reissue import (
    AlreadyReissued,
    NotReissuable,
    reissue_invoice,
    void_and_reissue,
)
from billing.voiding.void import (
    BeingPushed,
    HasCreditNotes,
    PaidInvoice,
    VoidRefused,
    void_invoice,
)

__all__ = [
    "AlreadyReissued",
    "BeingPushed",
    "HasCreditNotes",
    "NotReissuable",
    "PaidInvoice",
    "VoidRefused",
    "reissue_invoice",
    "void_and_reissue",
    "void_invoice",
]
