"""Comparing our books with Stripe's: runs, what Stripe said then, what differed, signed reports."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from billing.ids import InvoiceId, OrgId, StripeCustomerId, StripeInvoiceId, new_id
from billing.models.base import Base, Json
from billing.rules.drift import DriftKind, Repair


class RunScope(StrEnum):
    """What a run looks at: all made in a window, those of a period, or those not settled yet."""

    WINDOW = "WINDOW"
    PERIOD = "PERIOD"
    UNSETTLED = "UNSETTLED"


class RunState(StrEnum):
    """READING pages of Stripe's list, COMPARING both sides, REPAIRING; DONE, or FAILED for good."""

    READING = "READING"
    COMPARING = "COMPARING"
    REPAIRING = "REPAIRING"
    DONE = "DONE"
    FAILED = "FAILED"


class ReconciliationRun(Base):
    """One comparison. It goes on where it was: `cursor` is the last id that was read.

    `claim` numbers the leases of its worker, as a push's does. `window_end` lies in the past, so
    that what is just being sent is not taken for a difference. `stage` counts the lists of one run:
    an UNSETTLED one reads open ones, then drafts.
    """

    __tablename__ = "reconciliation_runs"
    __table_args__ = (
        Index(
            "ix_reconciliation_runs_due",
            "next_attempt_at",
            postgresql_where=text("finished_at IS NULL"),
        ),
        Index("ix_reconciliation_runs_started_at", "started_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    scope: Mapped[RunScope]
    state: Mapped[RunState] = mapped_column(default=RunState.READING)
    period: Mapped[str | None]
    window_start: Mapped[datetime]
    window_end: Mapped[datetime]
    is_repairing: Mapped[bool]
    actor: Mapped[str]
    stage: Mapped[int] = mapped_column(default=0)
    cursor: Mapped[str | None]
    claim: Mapped[int] = mapped_column(default=0)
    attempts: Mapped[int] = mapped_column(default=0)
    next_attempt_at: Mapped[datetime]
    list_calls: Mapped[int] = mapped_column(default=0)
    repair_calls: Mapped[int] = mapped_column(default=0)
    invoices_read: Mapped[int] = mapped_column(default=0)
    counts: Mapped[Json] = mapped_column(default=dict)
    """How many differences of each kind; of very many not all have a row."""

    repaired: Mapped[int] = mapped_column(default=0)
    error_code: Mapped[str | None]
    error_message: Mapped[str | None]
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]


class StripeSnapshot(Base):
    """One invoice as Stripe listed it during a run. `invoice_id` is ours, where metadata names one.

    Kept for the latest runs only; nothing refers to it.
    """

    __tablename__ = "stripe_snapshots"
    __table_args__ = (Index("ix_stripe_snapshots_run_id_invoice_id", "run_id", "invoice_id"),)

    run_id: Mapped[UUID] = mapped_column(primary_key=True)
    stripe_invoice_id: Mapped[StripeInvoiceId] = mapped_column(primary_key=True)
    invoice_id: Mapped[InvoiceId | None]
    claimed_id: Mapped[str | None]
    """What the metadata says, also where it is no id at all."""

    customer: Mapped[StripeCustomerId]
    status: Mapped[str]
    currency: Mapped[str]
    total_minor: Mapped[int]
    line_count: Mapped[int | None]
    amount_paid_minor: Mapped[int]
    credited_before_minor: Mapped[int]
    credited_after_minor: Mapped[int]
    balance_minor: Mapped[int]
    created_at: Mapped[datetime]
    moved_at: Mapped[datetime]
    """When its status last changed."""


class Drift(Base):
    """One difference that a run found, with both sides as they were, and what became of it."""

    __tablename__ = "drifts"
    __table_args__ = (Index("ix_drifts_run_id_kind", "run_id", "kind"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    run_id: Mapped[UUID] = mapped_column(ForeignKey("reconciliation_runs.id"))
    kind: Mapped[DriftKind]
    repair: Mapped[Repair]
    invoice_id: Mapped[InvoiceId | None]
    org_id: Mapped[OrgId | None]
    number: Mapped[str | None]
    stripe_invoice_id: Mapped[StripeInvoiceId | None]
    ours: Mapped[Json]
    theirs: Mapped[Json]
    message: Mapped[str]
    repaired_at: Mapped[datetime | None]
    result: Mapped[str | None]
    """What the repair did, or why it was left; None while nobody tried."""


class BooksReport(Base):
    """One signed report on a period: both sides' counts and totals, and every difference."""

    __tablename__ = "books_reports"
    __table_args__ = (Index("ix_books_reports_period_made_at", "period", "made_at"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    run_id: Mapped[UUID] = mapped_column(ForeignKey("reconciliation_runs.id"))
    period: Mapped[str]
    made_at: Mapped[datetime]
    body: Mapped[Json]
    signature: Mapped[str]
