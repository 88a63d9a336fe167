"""Whole bills: coupons, caps, grants, tax, holds, credit notes, heartbeats, price overrides."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"

_FROZEN_INVOICE = """
CREATE OR REPLACE FUNCTION refuse_change_of_issued_invoice() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    movable constant text[] := ARRAY[{movable}];
BEGIN
    IF OLD.status = 'CLOSING' AND TG_OP = 'UPDATE' THEN
        RETURN NEW;
    END IF;
    IF TG_OP = 'DELETE' OR to_jsonb(NEW) - movable <> to_jsonb(OLD) - movable THEN
        RAISE EXCEPTION 'invoice % is issued and cannot be changed', OLD.number
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$
"""
_MOVABLE = "'status', 'paid_at', 'voided_at', 'settled_by'"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.add_column("invoices", sa.Column("void_reason", sa.Text(), nullable=True))
    op.execute(_FROZEN_INVOICE.format(movable=f"{_MOVABLE}, 'void_reason'"))
    op.create_table(
        "caps",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=True),
        sa.Column("period_start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("forgiven_minor", sa.BigInteger(), nullable=False),
        sa.Column("floor_minor", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["org_id"], ["organizations.id"], name=op.f("fk_caps_org_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_caps")),
    )
    op.create_index("ix_caps_org_id_recorded_at", "caps", ["org_id", "recorded_at"], unique=False)
    op.create_table(
        "coupons",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("percent", sa.Numeric(precision=38, scale=12), nullable=True),
        sa.Column("amount_minor", sa.BigInteger(), nullable=True),
        sa.Column("invoices_max", sa.BigInteger(), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(percent IS NULL) <> (amount_minor IS NULL)", name=op.f("ck_coupons_percent_or_amount")
        ),
        sa.CheckConstraint("amount_minor > 0", name=op.f("ck_coupons_amount_positive")),
        sa.CheckConstraint("invoices_max > 0", name=op.f("ck_coupons_invoices_positive")),
        sa.CheckConstraint(
            "percent > 0 AND percent <= 100", name=op.f("ck_coupons_percent_in_range")
        ),
        sa.ForeignKeyConstraint(["org_id"], ["organizations.id"], name=op.f("fk_coupons_org_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_coupons")),
        sa.UniqueConstraint("org_id", "code", name=op.f("uq_coupons_org_id_code")),
    )
    op.create_table(
        "grants",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column(
            "kind",
            sa.Enum("PROMOTIONAL", "PREPAID", name="grantkind", native_enum=False, length=32),
            nullable=False,
        ),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("meter_id", sa.Uuid(), nullable=True),
        sa.Column("priority", sa.BigInteger(), nullable=False),
        sa.Column("valid_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("amount_minor > 0", name=op.f("ck_grants_amount_positive")),
        sa.CheckConstraint(
            "expires_at IS NULL OR valid_from < expires_at", name=op.f("ck_grants_valid_in_order")
        ),
        sa.ForeignKeyConstraint(["meter_id"], ["meters.id"], name=op.f("fk_grants_meter_id")),
        sa.ForeignKeyConstraint(["org_id"], ["organizations.id"], name=op.f("fk_grants_org_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_grants")),
        sa.UniqueConstraint("org_id", "code", name=op.f("uq_grants_org_id_code")),
    )
    op.create_table(
        "late_usage",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.ForeignKeyConstraint(
            ["org_id"], ["organizations.id"], name=op.f("fk_late_usage_org_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_late_usage")),
    )
    op.create_index("ix_late_usage_org_id_day", "late_usage", ["org_id", "day"], unique=False)
    op.create_table(
        "tax_rates",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("percent", sa.Numeric(precision=38, scale=12), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "percent > 0 AND percent <= 100", name=op.f("ck_tax_rates_percent_in_range")
        ),
        sa.ForeignKeyConstraint(["org_id"], ["organizations.id"], name=op.f("fk_tax_rates_org_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tax_rates")),
        sa.UniqueConstraint(
            "org_id", "name", "recorded_at", name=op.f("uq_tax_rates_org_id_name_recorded_at")
        ),
    )
    op.create_table(
        "usage_control_totals",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=True),
        sa.Column("hour", sa.DateTime(timezone=True), nullable=False),
        sa.Column("meter_id", sa.Uuid(), nullable=False),
        sa.Column("event_count", sa.BigInteger(), nullable=False),
        sa.Column("total", sa.Numeric(), nullable=False),
        sa.Column("counted_events", sa.BigInteger(), nullable=True),
        sa.Column("counted_total", sa.Numeric(), nullable=True),
        sa.Column("is_same", sa.Boolean(), nullable=False),
        sa.Column("checked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("next_check_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["meter_id"], ["meters.id"], name=op.f("fk_usage_control_totals_meter_id")
        ),
        sa.ForeignKeyConstraint(
            ["org_id"], ["organizations.id"], name=op.f("fk_usage_control_totals_org_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_usage_control_totals")),
        sa.UniqueConstraint(
            "source",
            "org_id",
            "hour",
            "meter_id",
            name=op.f("uq_usage_control_totals_source_org_id_hour_meter_id"),
            postgresql_nulls_not_distinct=True,
        ),
    )
    op.create_index(
        "ix_usage_control_totals_due",
        "usage_control_totals",
        ["next_check_at"],
        unique=False,
        postgresql_where=sa.text("NOT is_same"),
    )
    op.create_index(
        "ix_usage_control_totals_open",
        "usage_control_totals",
        ["source", "org_id", "hour"],
        unique=False,
        postgresql_where=sa.text("NOT is_same"),
    )
    op.create_table(
        "usage_heartbeats",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=True),
        sa.Column("through", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["org_id"], ["organizations.id"], name=op.f("fk_usage_heartbeats_org_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_usage_heartbeats")),
        sa.UniqueConstraint(
            "source",
            "org_id",
            name=op.f("uq_usage_heartbeats_source_org_id"),
            postgresql_nulls_not_distinct=True,
        ),
    )
    op.create_index(
        op.f("ix_usage_heartbeats_org_id"), "usage_heartbeats", ["org_id"], unique=False
    )
    op.create_table(
        "credit_notes",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("invoice_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("idempotency_key", sa.Text(), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "REDUCTION",
                "REFUND",
                "BALANCE",
                name="creditnotekind",
                native_enum=False,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "PENDING",
                "SENT",
                "FAILED",
                "NOT_NEEDED",
                name="creditnotestate",
                native_enum=False,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("stripe_credit_note_id", sa.Text(), nullable=True),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("error_code", sa.Text(), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("amount_minor > 0", name=op.f("ck_credit_notes_amount_positive")),
        sa.ForeignKeyConstraint(
            ["invoice_id"], ["invoices.id"], name=op.f("fk_credit_notes_invoice_id")
        ),
        sa.ForeignKeyConstraint(
            ["org_id"], ["organizations.id"], name=op.f("fk_credit_notes_org_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_credit_notes")),
        sa.UniqueConstraint("number", name=op.f("uq_credit_notes_number")),
        sa.UniqueConstraint(
            "org_id", "idempotency_key", name=op.f("uq_credit_notes_org_id_idempotency_key")
        ),
    )
    op.create_index(
        "ix_credit_notes_due",
        "credit_notes",
        ["next_attempt_at"],
        unique=False,
        postgresql_where=sa.text("state = 'PENDING'"),
    )
    op.create_index(
        op.f("ix_credit_notes_invoice_id"), "credit_notes", ["invoice_id"], unique=False
    )
    op.create_table(
        "invoice_checks",
        sa.Column("invoice_id", sa.Uuid(), nullable=False),
        sa.Column("is_same", sa.Boolean(), nullable=True),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("checked_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["invoice_id"], ["invoices.id"], name=op.f("fk_invoice_checks_invoice_id")
        ),
        sa.PrimaryKeyConstraint("invoice_id", name=op.f("pk_invoice_checks")),
    )
    op.create_table(
        "invoice_holds",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("invoice_id", sa.Uuid(), nullable=False),
        sa.Column(
            "reason",
            sa.Enum(
                "SOURCE_GAP",
                "UNPRICED",
                "ANOMALY",
                "NEW_ORGANIZATION",
                "FAILED",
                name="holdreason",
                native_enum=False,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("details", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("deadline", sa.DateTime(timezone=True), nullable=True),
        sa.Column("next_check_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("released_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("released_by", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["invoice_id"], ["invoices.id"], name=op.f("fk_invoice_holds_invoice_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_invoice_holds")),
        sa.UniqueConstraint(
            "invoice_id", "reason", name=op.f("uq_invoice_holds_invoice_id_reason")
        ),
    )
    op.create_index(
        "ix_invoice_holds_open",
        "invoice_holds",
        ["invoice_id"],
        unique=False,
        postgresql_where=sa.text("released_at IS NULL"),
    )
    op.create_table(
        "price_overrides",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("price_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("effective_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("terms", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["org_id"], ["organizations.id"], name=op.f("fk_price_overrides_org_id")
        ),
        sa.ForeignKeyConstraint(
            ["price_id"], ["prices.id"], name=op.f("fk_price_overrides_price_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_price_overrides")),
        sa.UniqueConstraint(
            "org_id",
            "price_id",
            "effective_from",
            name=op.f("uq_price_overrides_org_id_price_id_effective_from"),
        ),
        sa.UniqueConstraint(
            "org_id", "price_id", "number", name=op.f("uq_price_overrides_org_id_price_id_number")
        ),
    )
    op.create_table(
        "credit_entries",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("grant_id", sa.Uuid(), nullable=True),
        sa.Column(
            "kind",
            sa.Enum(
                "GRANT",
                "DRAW",
                "RESTORE",
                "MOVED",
                "CREDIT_NOTE",
                name="entrykind",
                native_enum=False,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("invoice_id", sa.Uuid(), nullable=True),
        sa.Column("credit_note_id", sa.Uuid(), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["credit_note_id"], ["credit_notes.id"], name=op.f("fk_credit_entries_credit_note_id")
        ),
        sa.ForeignKeyConstraint(
            ["grant_id"], ["grants.id"], name=op.f("fk_credit_entries_grant_id")
        ),
        sa.ForeignKeyConstraint(
            ["invoice_id"], ["invoices.id"], name=op.f("fk_credit_entries_invoice_id")
        ),
        sa.ForeignKeyConstraint(
            ["org_id"], ["organizations.id"], name=op.f("fk_credit_entries_org_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_credit_entries")),
    )
    op.create_index(
        op.f("ix_credit_entries_invoice_id"), "credit_entries", ["invoice_id"], unique=False
    )
    op.create_index(
        "ix_credit_entries_org_id_grant_id", "credit_entries", ["org_id", "grant_id"], unique=False
    )
    op.create_index(
        "ix_credit_entries_org_id_recorded_at_id",
        "credit_entries",
        ["org_id", "recorded_at", "id"],
        unique=False,
    )
    op.add_column(
        "invoice_lines",
        sa.Column("reduced_minor", sa.BigInteger(), nullable=False, server_default="0"),
    )
    op.alter_column("invoice_lines", "reduced_minor", server_default=None)
    op.add_column(
        "invoice_lines",
        sa.Column("granted_minor", sa.BigInteger(), nullable=False, server_default="0"),
    )
    op.alter_column("invoice_lines", "granted_minor", server_default=None)
    op.add_column(
        "organizations", sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True)
    )
    op.add_column(
        "subscriptions", sa.Column("trial_ends_at", sa.DateTime(timezone=True), nullable=True)
    )
    op.add_column("subscriptions", sa.Column("replaces_id", sa.Uuid(), nullable=True))
    op.add_column("subscriptions", sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True))
    op.create_foreign_key(
        op.f("fk_subscriptions_replaces_id"),
        "subscriptions",
        "subscriptions",
        ["replaces_id"],
        ["id"],
    )


def downgrade() -> None:
    raise NotImplementedError("Bills have been made with these: restore a backup instead.")
