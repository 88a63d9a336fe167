"""What stands between an ended period and its invoice, and what corrects an invoice afterwards."""

from datetime import date, datetime
from enum import StrEnum

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from billing.ids import CreditNoteId, HoldId, InvoiceId, OrgId, StripeCreditNoteId, new_id
from billing.models.base import Base, Json


class HoldReason(StrEnum):
    """Why a close waits although its grace is over. FAILED is a fault of ours, tried again."""

    SOURCE_GAP = "SOURCE_GAP"
    UNPRICED = "UNPRICED"
    ANOMALY = "ANOMALY"
    NEW_ORGANIZATION = "NEW_ORGANIZATION"
    FAILED = "FAILED"


class InvoiceHold(Base):
    """One reason for which a CLOSING invoice waits; it stops only that organization.

    It is looked at again at `next_check_at`, gives way by itself at `deadline` (None: never), or
    once its cause is gone, or when staff release it (`released_by`), which is for good.
    """

    __tablename__ = "invoice_holds"
    __table_args__ = (
        UniqueConstraint("invoice_id", "reason"),
        Index("ix_invoice_holds_open", "invoice_id", postgresql_where=text("released_at IS NULL")),
    )

    id: Mapped[HoldId] = mapped_column(primary_key=True, default=new_id)
    invoice_id: Mapped[InvoiceId] = mapped_column(ForeignKey("invoices.id"))
    reason: Mapped[HoldReason]
    message: Mapped[str]
    details: Mapped[Json]
    deadline: Mapped[datetime | None]
    next_check_at: Mapped[datetime]
    released_at: Mapped[datetime | None]
    released_by: Mapped[str | None]
    note: Mapped[str | None]
    recorded_at: Mapped[datetime]


class LateUsage(Base):
    """That usage of an earlier UTC day came in, or was voided: its period may have been billed.

    A note, not a boundary: the close that has seen a note deletes that very row, and finds what to
    correct by comparing quantities.
    """

    __tablename__ = "late_usage"
    __table_args__ = (Index("ix_late_usage_org_id_day", "org_id", "day"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    org_id: Mapped[OrgId] = mapped_column(ForeignKey("organizations.id"))
    day: Mapped[date]


class CreditNoteKind(StrEnum):
    """Where the money of a credit note goes."""

    REDUCTION = "REDUCTION"
    REFUND = "REFUND"
    BALANCE = "BALANCE"


class CreditNoteState(StrEnum):
    """How far a credit note is in Stripe."""

    PENDING = "PENDING"
    SENT = "SENT"
    FAILED = "FAILED"
    NOT_NEEDED = "NOT_NEEDED"


class CreditNote(Base):
    """Money given back on an issued invoice: off what is open, refunded, or to the credit balance.

    `idempotency_key` is the caller's, unique in the organization. Of a REFUND and of a REDUCTION
    Stripe is told; `stripe_credit_note_id` is its own.
    """

    __tablename__ = "credit_notes"
    __table_args__ = (
        UniqueConstraint("org_id", "idempotency_key"),
        UniqueConstraint("number"),
        CheckConstraint("amount_minor > 0", name="amount_positive"),
        Index("ix_credit_notes_due", "next_attempt_at", postgresql_where=text("state = 'PENDING'")),
    )

    id: Mapped[CreditNoteId] = mapped_column(primary_key=True, default=new_id)
    org_id: Mapped[OrgId] = mapped_column(ForeignKey("organizations.id"))
    invoice_id: Mapped[InvoiceId] = mapped_column(ForeignKey("invoices.id"), index=True)
    number: Mapped[str]
    idempotency_key: Mapped[str]
    kind: Mapped[CreditNoteKind]
    amount_minor: Mapped[int]
    reason: Mapped[str]
    state: Mapped[CreditNoteState]
    stripe_credit_note_id: Mapped[StripeCreditNoteId | None]
    attempts: Mapped[int] = mapped_column(default=0)
    next_attempt_at: Mapped[datetime]
    error_code: Mapped[str | None]
    error_message: Mapped[str | None]
    recorded_at: Mapped[datetime]


class InvoiceCheck(Base):
    """An issued invoice computed again from raw events. `digest` is what that came to.

    `is_same` is None where it could not be: its events are archived.
    """

    __tablename__ = "invoice_checks"

    invoice_id: Mapped[InvoiceId] = mapped_column(ForeignKey("invoices.id"), primary_key=True)
    is_same: Mapped[bool | None]
    digest: Mapped[str]
    message: Mapped[str]
    checked_at: Mapped[datetime]
