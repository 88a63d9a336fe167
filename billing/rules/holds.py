"""When an invoice is so unusual that a person looks at it before anybody is asked to pay it."""

from collections.abc import Sequence
from datetime import timedelta

from billing.rules.money import Money

SOURCE_GAP_MAX = timedelta(hours=72)
"""How long after its grace a close waits for a source that has not sent everything."""

ANOMALY_FACTOR = 3
ANOMALY_ABOVE_MAJOR = 100
ANOMALY_HISTORY = 3
NEW_ORGANIZATION_INVOICES = 2
NEW_ORGANIZATION_LIMIT_MAJOR = 50_000
"""What an organization's first two invoices may come to before anybody knows it."""


def is_anomaly(pre_tax: Money, before: Sequence[Money]) -> bool:
    """Over three times the highest of the last three, and over 100 major units above it.

    `before` are the invoices before it, the newest first; the first two are never one.
    """
    if len(before) < NEW_ORGANIZATION_INVOICES:
        return False
    highest = max(one.minor for one in before[:ANOMALY_HISTORY])
    above = ANOMALY_ABOVE_MAJOR * pre_tax.currency.minor_per_major
    return pre_tax.minor > ANOMALY_FACTOR * highest and pre_tax.minor > highest + above


def is_over_limit(pre_tax: Money, invoices_before: int) -> bool:
    """Whether one of the first two invoices is above what a new organization may owe."""
    limit = NEW_ORGANIZATION_LIMIT_MAJOR * pre_tax.currency.minor_per_major
    return invoices_before < NEW_ORGANIZATION_INVOICES and pre_tax.minor > limit
