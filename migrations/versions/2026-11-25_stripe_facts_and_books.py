"""Facts about payments, the back-fill's cursor, changed customers, and comparisons with Stripe."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.create_table(
        "reconciliation_runs",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column(
            "scope",
            sa.Enum("WINDOW", "PERIOD", "UNSETTLED", name="runscope", native_enum=False, length=32),
            nullable=False,
        ),
        sa.Column(
            "state",
            sa.Enum(
                "READING",
                "COMPARING",
                "DONE",
                "FAILED",
                name="runstate",
                native_enum=False,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("period", sa.Text(), nullable=True),
        sa.Column("window_start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("window_end", sa.DateTime(timezone=True), nullable=False),
        sa.Column("is_repairing", sa.Boolean(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("stage", sa.BigInteger(), nullable=False),
        sa.Column("cursor", sa.Text(), nullable=True),
        sa.Column("claim", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("list_calls", sa.BigInteger(), nullable=False),
        sa.Column("repair_calls", sa.BigInteger(), nullable=False),
        sa.Column("invoices_read", sa.BigInteger(), nullable=False),
        sa.Column("counts", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("repaired", sa.BigInteger(), nullable=False),
        sa.Column("error_code", sa.Text(), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reconciliation_runs")),
    )
    op.create_index(
        "ix_reconciliation_runs_due",
        "reconciliation_runs",
        ["next_attempt_at"],
        unique=False,
        postgresql_where=sa.text("finished_at IS NULL"),
    )
    op.create_index(
        "ix_reconciliation_runs_started_at", "reconciliation_runs", ["started_at"], unique=False
    )
    op.create_table(
        "stripe_event_cursors",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("read_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("checked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("found", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stripe_event_cursors")),
    )
    op.create_table(
        "stripe_snapshots",
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("stripe_invoice_id", sa.Text(), nullable=False),
        sa.Column("invoice_id", sa.Uuid(), nullable=True),
        sa.Column("claimed_id", sa.Text(), nullable=True),
        sa.Column("customer", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("total_minor", sa.BigInteger(), nullable=False),
        sa.Column("line_count", sa.BigInteger(), nullable=True),
        sa.Column("amount_paid_minor", sa.BigInteger(), nullable=False),
        sa.Column("credited_before_minor", sa.BigInteger(), nullable=False),
        sa.Column("credited_after_minor", sa.BigInteger(), nullable=False),
        sa.Column("balance_minor", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("moved_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "stripe_invoice_id", name=op.f("pk_stripe_snapshots")),
    )
    op.create_index(
        "ix_stripe_snapshots_run_id_invoice_id",
        "stripe_snapshots",
        ["run_id", "invoice_id"],
        unique=False,
    )
    op.create_table(
        "books_reports",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("period", sa.Text(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("body", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("signature", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["run_id"], ["reconciliation_runs.id"], name=op.f("fk_books_reports_run_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_books_reports")),
    )
    op.create_index(
        "ix_books_reports_period_made_at", "books_reports", ["period", "made_at"], unique=False
    )
    op.create_table(
        "customer_updates",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("pushed_revision", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("error_code", sa.Text(), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["org_id"], ["organizations.id"], name=op.f("fk_customer_updates_org_id")
        ),
        sa.PrimaryKeyConstraint("org_id", name=op.f("pk_customer_updates")),
    )
    op.create_index(
        "ix_customer_updates_due",
        "customer_updates",
        ["next_attempt_at"],
        unique=False,
        postgresql_where=sa.text("revision > pushed_revision"),
    )
    op.create_table(
        "drifts",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "MISSING",
                "NOT_SYNCED",
                "ORPHAN",
                "FOREIGN",
                "DUPLICATE",
                "AMOUNT_DRIFT",
                "STATUS_DRIFT",
                "STUCK_DRAFT",
                "PAYMENT_DRIFT",
                name="driftkind",
                native_enum=False,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column(
            "repair",
            sa.Enum(
                "PUSH",
                "REFETCH",
                "DELETE_DRAFT",
                "PERSON",
                "NOTHING",
                name="repair",
                native_enum=False,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("invoice_id", sa.Uuid(), nullable=True),
        sa.Column("org_id", sa.Uuid(), nullable=True),
        sa.Column("number", sa.Text(), nullable=True),
        sa.Column("stripe_invoice_id", sa.Text(), nullable=True),
        sa.Column("ours", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("theirs", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("repaired_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("result", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["run_id"], ["reconciliation_runs.id"], name=op.f("fk_drifts_run_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_drifts")),
    )
    op.create_index("ix_drifts_run_id_kind", "drifts", ["run_id", "kind"], unique=False)
    op.create_table(
        "payment_facts",
        sa.Column("invoice_id", sa.Uuid(), nullable=False),
        sa.Column("amount_paid_minor", sa.BigInteger(), nullable=False),
        sa.Column("paid_off_stripe_minor", sa.BigInteger(), nullable=False),
        sa.Column("credited_before_minor", sa.BigInteger(), nullable=False),
        sa.Column("credited_after_minor", sa.BigInteger(), nullable=False),
        sa.Column("refunded_minor", sa.BigInteger(), nullable=False),
        sa.Column("disputed_minor", sa.BigInteger(), nullable=False),
        sa.Column("dispute_status", sa.Text(), nullable=True),
        sa.Column("balance_minor", sa.BigInteger(), nullable=False),
        sa.Column("fetched_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["invoice_id"], ["invoices.id"], name=op.f("fk_payment_facts_invoice_id")
        ),
        sa.PrimaryKeyConstraint("invoice_id", name=op.f("pk_payment_facts")),
    )
    op.add_column(
        "stripe_events",
        sa.Column(
            "origin",
            sa.Enum("WEBHOOK", "BACKFILL", name="eventorigin", native_enum=False, length=32),
            nullable=False,
            server_default="WEBHOOK",
        ),
    )
    op.alter_column("stripe_events", "origin", server_default=None)
    op.create_index(
        "ix_stripe_events_received_at_id", "stripe_events", ["received_at", "id"], unique=False
    )


def downgrade() -> None:
    raise NotImplementedError("What was found and repaired is kept: restore a backup instead.")
