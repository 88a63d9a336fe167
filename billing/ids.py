"""Ids. UUIDv7 (RFC 9562 §5.7): their order follows time, so big indexes grow at one warm end.

Neither Python 3.11 nor PostgreSQL 15 makes them. The NewTypes let mypy catch swapped ids.
"""

import secrets
from typing import NewType
from uuid import UUID

from billing.clock import wall_time

OrgId = NewType("OrgId", UUID)
UserId = NewType("UserId", UUID)
ApiKeyId = NewType("ApiKeyId", UUID)
MeterId = NewType("MeterId", UUID)
PlanId = NewType("PlanId", UUID)
PriceId = NewType("PriceId", UUID)
PriceVersionId = NewType("PriceVersionId", UUID)
SubscriptionId = NewType("SubscriptionId", UUID)
SeriesId = NewType("SeriesId", int)
InvoiceId = NewType("InvoiceId", UUID)
LineId = NewType("LineId", UUID)
OneOffItemId = NewType("OneOffItemId", UUID)
OverrideId = NewType("OverrideId", UUID)
CouponId = NewType("CouponId", UUID)
GrantId = NewType("GrantId", UUID)
CreditNoteId = NewType("CreditNoteId", UUID)
HoldId = NewType("HoldId", UUID)
EntryId = NewType("EntryId", UUID)

StripeCustomerId = NewType("StripeCustomerId", str)
StripeInvoiceId = NewType("StripeInvoiceId", str)
StripeCreditNoteId = NewType("StripeCreditNoteId", str)
StripeEventId = NewType("StripeEventId", str)

_RANDOM_BITS = 74
_VERSION = 0x7 << 76
_VARIANT = 0b10 << 62


def new_id() -> UUID:
    """A fresh UUIDv7: 48 bits of milliseconds, then 74 random bits.

    The milliseconds order the index and mean nothing else, so they are the wall clock's even
    where the sandbox has travelled in time.
    """
    milliseconds = int(wall_time().timestamp() * 1000)
    random = secrets.randbits(_RANDOM_BITS)
    high, low = random >> 62, random & ((1 << 62) - 1)
    return UUID(int=(milliseconds << 80) | _VERSION | (high << 64) | _VARIANT | low)
