"""What is owed: invoices, their lines, one-off items, and how far each is in Stripe."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from billing.ids import (
    InvoiceId,
    LineId,
    OneOffItemId,
    OrgId,
    PriceVersionId,
    StripeInvoiceId,
    new_id,
)
from billing.models.base import Base
from billing.rules.invoicing import Settlement
from billing.rules.lines import LineKind
from billing.rules.money import Currency, Money
from billing.rules.periods import Period


class InvoiceKind(StrEnum):
    """A period's own invoice, or one with a cause of its own."""

    PERIOD = "PERIOD"
    OFF_CYCLE = "OFF_CYCLE"


class InvoiceStatus(StrEnum):
    """A draft is computed and never stored; from OPEN on nothing but the status moves."""

    DRAFT = "DRAFT"
    CLOSING = "CLOSING"
    OPEN = "OPEN"
    PAID = "PAID"
    VOID = "VOID"
    UNCOLLECTIBLE = "UNCOLLECTIBLE"


class SyncState(StrEnum):
    """How far an invoice is on its way to Stripe."""

    PENDING = "PENDING"
    PUSHING = "PUSHING"
    PUSHED = "PUSHED"
    HELD = "HELD"
    FAILED = "FAILED"
    NOT_NEEDED = "NOT_NEEDED"


class SyncStep(StrEnum):
    """The last step of a push that Stripe is known to have done."""

    NEW = "NEW"
    CREATED = "CREATED"
    LINES = "LINES"
    FINALIZED = "FINALIZED"


class Invoice(Base):
    """What one organization owes for one period, or for one cause. Frozen once it leaves CLOSING.

    A trigger refuses any other change then. A reissue is a new revision.
    """

    __tablename__ = "invoices"
    __table_args__ = (
        Index(
            "uq_invoices_period",
            "org_id",
            "period_start",
            "revision",
            unique=True,
            postgresql_where=text("kind = 'PERIOD'"),
        ),
        UniqueConstraint("org_id", "cause"),
        UniqueConstraint("number"),
        Index("ix_invoices_org_id_period_start_id", "org_id", "period_start", "id"),
        Index("ix_invoices_closing", "closes_at", postgresql_where=text("status = 'CLOSING'")),
        CheckConstraint("period_start < period_end", name="period_ordered"),
        CheckConstraint("total_minor >= 0", name="total_not_negative"),
        CheckConstraint("(status = 'CLOSING') = (number IS NULL)", name="numbered_when_issued"),
        CheckConstraint("(kind = 'OFF_CYCLE') = (cause IS NOT NULL)", name="cause_when_off_cycle"),
    )

    id: Mapped[InvoiceId] = mapped_column(primary_key=True, default=new_id)
    org_id: Mapped[OrgId] = mapped_column(ForeignKey("organizations.id"))
    kind: Mapped[InvoiceKind]
    cause: Mapped[str | None]
    revision: Mapped[int] = mapped_column(default=0)
    replaces_id: Mapped[InvoiceId | None] = mapped_column(ForeignKey("invoices.id"))
    status: Mapped[InvoiceStatus]
    period_start: Mapped[datetime]
    period_end: Mapped[datetime]
    closes_at: Mapped[datetime]
    currency: Mapped[Currency]
    number: Mapped[str | None]
    total_minor: Mapped[int] = mapped_column(default=0)
    digest: Mapped[str | None]
    settled_by: Mapped[Settlement | None]
    issued_at: Mapped[datetime | None]
    paid_at: Mapped[datetime | None]
    voided_at: Mapped[datetime | None]
    void_reason: Mapped[str | None]
    recorded_at: Mapped[datetime]

    lines: Mapped[list["InvoiceLine"]] = relationship(
        lazy="raise", order_by="InvoiceLine.position", foreign_keys="InvoiceLine.invoice_id"
    )
    sync: Mapped["InvoiceSync | None"] = relationship(lazy="raise")

    @property
    def total(self) -> Money:
        """The sum of its lines."""
        return Money(self.total_minor, self.currency)

    @property
    def period(self) -> Period:
        """The time it is for."""
        return Period(self.period_start, self.period_end)


class InvoiceLine(Base):
    """A charge as it was invoiced, with the arithmetic that led to it. Never changes.

    `key` and `segment` name it publicly; `steps` are `rating.Step`s; `corrects_id` is the invoice
    a true-up is about. `reduced_minor` is what coupons and the cap took off this line, and
    `granted_minor` what promotional grants did: their own lines say the same in one sum.
    """

    __tablename__ = "invoice_lines"
    __table_args__ = (UniqueConstraint("invoice_id", "position"),)

    id: Mapped[LineId] = mapped_column(primary_key=True, default=new_id)
    invoice_id: Mapped[InvoiceId] = mapped_column(ForeignKey("invoices.id"))
    position: Mapped[int]
    kind: Mapped[LineKind]
    key: Mapped[str]
    price_version_id: Mapped[PriceVersionId | None] = mapped_column(ForeignKey("price_versions.id"))
    segment: Mapped[int]
    description: Mapped[str]
    product: Mapped[str | None]
    span_start: Mapped[datetime]
    span_end: Mapped[datetime]
    quantity: Mapped[Decimal | None]
    unit: Mapped[str | None]
    exact_minor: Mapped[Fraction]
    amount_minor: Mapped[int]
    reduced_minor: Mapped[int] = mapped_column(default=0)
    granted_minor: Mapped[int] = mapped_column(default=0)
    steps: Mapped[list[dict[str, Any]]] = mapped_column(JSONB())
    corrects_id: Mapped[InvoiceId | None] = mapped_column(ForeignKey("invoices.id"))


class OneOffItem(Base):
    """Something sold once, billed with the period it was incurred in or the next to close."""

    __tablename__ = "one_off_items"
    __table_args__ = (
        UniqueConstraint("org_id", "idempotency_key"),
        Index(
            "ix_one_off_items_unbilled",
            "org_id",
            "incurred_at",
            postgresql_where=text("invoice_id IS NULL"),
        ),
        CheckConstraint("amount_minor > 0", name="amount_positive"),
    )

    id: Mapped[OneOffItemId] = mapped_column(primary_key=True, default=new_id)
    org_id: Mapped[OrgId] = mapped_column(ForeignKey("organizations.id"))
    idempotency_key: Mapped[str]
    request_sha256: Mapped[bytes]
    description: Mapped[str]
    amount_minor: Mapped[int]
    currency: Mapped[Currency]
    incurred_at: Mapped[datetime]
    invoice_id: Mapped[InvoiceId | None] = mapped_column(ForeignKey("invoices.id"), index=True)
    recorded_at: Mapped[datetime]


class InvoiceSync(Base):
    """How far one invoice is in Stripe, and what Stripe said of it. Never part of the invoice.

    `step` is committed before the next call. `key_attempt` numbers idempotency keys: Stripe may
    forget one after 24 hours, so `keyed_at` says when the current ones were first used; in doubt,
    a push looks before it creates. `claim` numbers the leases: only the latest may write. A fetch
    takes a ticket first, and is written only when none with a later ticket has been.
    """

    __tablename__ = "invoice_syncs"
    __table_args__ = (
        Index(
            "ix_invoice_syncs_due",
            "next_attempt_at",
            "invoice_id",
            postgresql_where=text("state IN ('PENDING', 'PUSHING')"),
        ),
    )

    invoice_id: Mapped[InvoiceId] = mapped_column(ForeignKey("invoices.id"), primary_key=True)
    state: Mapped[SyncState]
    step: Mapped[SyncStep] = mapped_column(default=SyncStep.NEW)
    revision: Mapped[int] = mapped_column(default=0)
    stripe_invoice_id: Mapped[StripeInvoiceId | None] = mapped_column(unique=True)
    claim: Mapped[int] = mapped_column(default=0)
    key_attempt: Mapped[int] = mapped_column(default=0)
    keyed_at: Mapped[datetime | None]
    is_in_doubt: Mapped[bool] = mapped_column(default=False)
    payload_sha256: Mapped[bytes | None]
    attempts: Mapped[int] = mapped_column(default=0)
    next_attempt_at: Mapped[datetime]
    error_code: Mapped[str | None]
    error_message: Mapped[str | None]
    pushed_at: Mapped[datetime | None]
    fetch_tickets: Mapped[int] = mapped_column(default=0)
    applied_ticket: Mapped[int] = mapped_column(default=0)
    fetched_at: Mapped[datetime | None]
    stripe_status: Mapped[str | None]
    hosted_invoice_url: Mapped[str | None]
    payment_attempts: Mapped[int] = mapped_column(default=0)
    next_payment_at: Mapped[datetime | None]
