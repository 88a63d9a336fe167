"""Closing: an ended period becomes one invoice, once, by the same function as its estimate."""

from billing.closing.issuing import CloseReport, Failure, close_due, close_invoice
from billing.closing.periods import (
    CHUNK_SIZE,
    GRACE,
    CloseProgress,
    Due,
    begin_closing,
    close_progress,
    due_invoices,
)
from billing.closing.waiving import (
    EarlierPeriodOpen,
    InvoiceHeld,
    PeriodAlreadyClosed,
    PeriodNotEnded,
    close_period_now,
    refuse_held,
)

__all__ = [
    "CHUNK_SIZE",
    "GRACE",
    "CloseProgress",
    "CloseReport",
    "Due",
    "EarlierPeriodOpen",
    "Failure",
    "InvoiceHeld",
    "PeriodAlreadyClosed",
    "PeriodNotEnded",
    "begin_closing",
    "close_due",
    "close_invoice",
    "close_period_now",
    "close_progress",
    "due_invoices",
    "refuse_held",
]
