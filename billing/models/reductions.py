"""What makes a bill smaller or adds tax to it: coupons, the cap, grants, their ledger, rates."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from billing.ids import (
    CouponId,
    CreditNoteId,
    EntryId,
    GrantId,
    InvoiceId,
    MeterId,
    OrgId,
    new_id,
)
from billing.models.base import Base
from billing.rules.reductions import GrantKind


class Coupon(Base):
    """A percentage or an amount off, for `invoices_max` invoices with something to reduce.

    `code` is its public name, unique in the organization; exactly one of `percent` and
    `amount_minor` is there. None as `invoices_max`: until it is ended.
    """

    __tablename__ = "coupons"
    __table_args__ = (
        UniqueConstraint("org_id", "code"),
        CheckConstraint("(percent IS NULL) <> (amount_minor IS NULL)", name="percent_or_amount"),
        CheckConstraint("percent > 0 AND percent <= 100", name="percent_in_range"),
        CheckConstraint("amount_minor > 0", name="amount_positive"),
        CheckConstraint("invoices_max > 0", name="invoices_positive"),
    )

    id: Mapped[CouponId] = mapped_column(primary_key=True, default=new_id)
    org_id: Mapped[OrgId] = mapped_column(ForeignKey("organizations.id"))
    code: Mapped[str]
    name: Mapped[str]
    percent: Mapped[Decimal | None]
    amount_minor: Mapped[int | None]
    invoices_max: Mapped[int | None]
    ended_at: Mapped[datetime | None]
    recorded_at: Mapped[datetime]


class Cap(Base):
    """A maximum bill, as it was set at one moment; the latest one holds. None: no maximum.

    `period_start` is of the period it was set in. What earlier maxima of that period had forgiven
    by then stays so; what was billable by then is the least this one can come to in it.
    """

    __tablename__ = "caps"
    __table_args__ = (Index("ix_caps_org_id_recorded_at", "org_id", "recorded_at"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    org_id: Mapped[OrgId] = mapped_column(ForeignKey("organizations.id"))
    amount_minor: Mapped[int | None]
    period_start: Mapped[datetime]
    forgiven_minor: Mapped[int]
    floor_minor: Mapped[int]
    actor: Mapped[str]
    recorded_at: Mapped[datetime]


class Grant(Base):
    """Credit given: PROMOTIONAL before tax, PREPAID after it. What is left is in the ledger.

    `meter_id` limits it to one meter's usage. `code` is its public name.
    """

    __tablename__ = "grants"
    __table_args__ = (
        UniqueConstraint("org_id", "code"),
        CheckConstraint("amount_minor > 0", name="amount_positive"),
        CheckConstraint("expires_at IS NULL OR valid_from < expires_at", name="valid_in_order"),
    )

    id: Mapped[GrantId] = mapped_column(primary_key=True, default=new_id)
    org_id: Mapped[OrgId] = mapped_column(ForeignKey("organizations.id"))
    code: Mapped[str]
    name: Mapped[str]
    kind: Mapped[GrantKind]
    amount_minor: Mapped[int]
    meter_id: Mapped[MeterId | None] = mapped_column(ForeignKey("meters.id"))
    priority: Mapped[int] = mapped_column(default=0)
    valid_from: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    recorded_at: Mapped[datetime]


class EntryKind(StrEnum):
    """Why credit moved."""

    GRANT = "GRANT"
    DRAW = "DRAW"
    RESTORE = "RESTORE"
    MOVED = "MOVED"
    CREDIT_NOTE = "CREDIT_NOTE"


class CreditEntry(Base):
    """One movement of credit: of a grant, or (`grant_id` None) of the credit balance.

    Immutable; a balance is the sum of its entries. `invoice_id` is the invoice that drew it, that
    moved a negative total here, or whose voiding restored it.
    """

    __tablename__ = "credit_entries"
    __table_args__ = (
        Index("ix_credit_entries_org_id_grant_id", "org_id", "grant_id"),
        Index("ix_credit_entries_org_id_recorded_at_id", "org_id", "recorded_at", "id"),
    )

    id: Mapped[EntryId] = mapped_column(primary_key=True, default=new_id)
    org_id: Mapped[OrgId] = mapped_column(ForeignKey("organizations.id"))
    grant_id: Mapped[GrantId | None] = mapped_column(ForeignKey("grants.id"))
    kind: Mapped[EntryKind]
    amount_minor: Mapped[int]
    invoice_id: Mapped[InvoiceId | None] = mapped_column(ForeignKey("invoices.id"), index=True)
    credit_note_id: Mapped[CreditNoteId | None] = mapped_column(ForeignKey("credit_notes.id"))
    recorded_at: Mapped[datetime]


class TaxRate(Base):
    """A fixed, exclusive rate on what is left to pay, from when it was set until it was ended."""

    __tablename__ = "tax_rates"
    __table_args__ = (
        UniqueConstraint("org_id", "name", "recorded_at"),
        CheckConstraint("percent > 0 AND percent <= 100", name="percent_in_range"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    org_id: Mapped[OrgId] = mapped_column(ForeignKey("organizations.id"))
    name: Mapped[str]
    percent: Mapped[Decimal]
    ended_at: Mapped[datetime | None]
    recorded_at: Mapped[datetime]
