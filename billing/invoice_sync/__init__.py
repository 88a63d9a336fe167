"""Pushing issued invoices to Stripe: exactly once, with the same total, whatever happens.

`sweep` goes through what is due, `claiming` says whose it is, `queue` pushes one and decides what
becomes of a failure, `push` is the three calls, `payload` what goes over, and `progress` how
long it takes.
"""

from billing.invoice_sync.claiming import LEASE
from billing.invoice_sync.progress import PushProgress, push_progress
from billing.invoice_sync.push import KEY_AGE_MAX
from billing.invoice_sync.queue import backoff, is_in_doubt, jittered, retry_push
from billing.invoice_sync.sweep import push_due

__all__ = [
    "KEY_AGE_MAX",
    "LEASE",
    "PushProgress",
    "backoff",
    "is_in_doubt",
    "jittered",
    "push_due",
    "push_progress",
    "retry_push",
]
