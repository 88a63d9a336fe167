"""Comparing our books with Stripe's, invoice by invoice; and what may be mended by itself.

`starting` begins a run, `runs` reads Stripe's list in resumable steps, `comparing` joins both sides
in the database, `repairing` mends what is safe, `books` makes the signed report of a period.
"""

from billing.reconciling.books import (
    BooksTampered,
    find_books,
    latest_books,
    make_books,
    signed,
    verify_books,
)
from billing.reconciling.reading import (
    Found,
    drifts_of,
    find_run,
    latest_comparison,
    latest_runs,
    unrepaired_counts,
)
from billing.reconciling.runs import finish_run, reconcile_due
from billing.reconciling.starting import Wanted, schedule_runs, start_run

__all__ = [
    "BooksTampered",
    "Found",
    "Wanted",
    "drifts_of",
    "find_books",
    "find_run",
    "finish_run",
    "latest_books",
    "latest_comparison",
    "latest_runs",
    "make_books",
    "reconcile_due",
    "schedule_runs",
    "signed",
    "start_run",
    "unrepaired_counts",
    "verify_books",
]
