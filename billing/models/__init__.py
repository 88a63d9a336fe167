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
    Form,
    QuarantinedEvent,
    UsageArchivedMonth,
    UsageBucket,
    UsageChunk,
    UsageDistinctValue,
    UsageIdentity,
    UsageSeries,
    UsageSource,
    UsageTail,
    UsageVoid,
    Verdict,
)

__all__ = [
    "ApiKey",
    "AuditEntry",
    "Base",
    "ClockOffset",
    "Form",
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
    "UsageArchivedMonth",
    "UsageBucket",
    "UsageChunk",
    "UsageDistinctValue",
    "UsageIdentity",
    "UsageSeries",
    "UsageSource",
    "UsageTail",
    "UsageVoid",
    "User",
    "Verdict",
    "WebSession",
]
