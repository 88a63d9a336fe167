"""Rows, by aggregate. Relationships stay inside one file; everything else is a query by id."""

from billing.models.accounts import ApiKey, Membership, Organization, Role, Scope, User, WebSession
from billing.models.audit import AuditEntry
from billing.models.base import Base
from billing.models.catalog import Meter, Plan, Price, PriceVersion, Subscription
from billing.models.clock import ClockOffset
from billing.models.invoices import (
    Invoice,
    InvoiceKind,
    InvoiceLine,
    InvoiceStatus,
    InvoiceSync,
    OneOffItem,
    SyncState,
    SyncStep,
)
from billing.models.stripe import Outcome, StripeEvent
from billing.models.usage import (
    QuarantinedEvent,
    UsageBucket,
    UsageDistinctValue,
    UsageEvent,
    UsageIdentity,
    UsageSeries,
    UsageSource,
    Verdict,
)

__all__ = [
    "ApiKey",
    "AuditEntry",
    "Base",
    "ClockOffset",
    "Invoice",
    "InvoiceKind",
    "InvoiceLine",
    "InvoiceStatus",
    "InvoiceSync",
    "Membership",
    "Meter",
    "OneOffItem",
    "Organization",
    "Outcome",
    "Plan",
    "Price",
    "PriceVersion",
    "QuarantinedEvent",
    "Role",
    "Scope",
    "StripeEvent",
    "Subscription",
    "SyncState",
    "SyncStep",
    "UsageBucket",
    "UsageDistinctValue",
    "UsageEvent",
    "UsageIdentity",
    "UsageSeries",
    "UsageSource",
    "User",
    "Verdict",
    "WebSession",
]
