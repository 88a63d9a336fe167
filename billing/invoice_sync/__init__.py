"""Pushing issued invoices to Stripe: exactly once, with the same total, whatever happens.

`queue` decides what is due and what becomes of a failure, `push` is the three calls, `payload`
what goes over.
"""

from billing.invoice_sync.push import KEY_AGE_MAX
from billing.invoice_sync.queue import (
    LEASE,
    backoff,
    is_in_doubt,
    jittered,
    push_due,
    retry_push,
)

__all__ = ["KEY_AGE_MAX", "LEASE", "backoff", "is_in_doubt", "jittered", "push_due", "retry_push"]
