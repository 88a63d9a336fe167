"""The first tables."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.create_table(
        "clock_offsets",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("ahead", sa.Interval(), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_clock_offsets_only_one")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_clock_offsets")),
    )
    op.create_table(
        "meters",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("event_type", sa.Text(), nullable=False),
        sa.Column("value_property", sa.Text(), nullable=True),
        sa.Column(
            "aggregation",
            sa.Enum(
                "SUM",
                "COUNT",
                "MAX",
                "LATEST",
                "UNIQUE_COUNT",
                "TIME_WEIGHTED",
                name="aggregation",
                native_enum=False,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("dimensions", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_meters")),
        sa.UniqueConstraint("slug", name=op.f("uq_meters_slug")),
    )
    op.create_index(op.f("ix_meters_event_type"), "meters", ["event_type"], unique=False)
    op.create_table(
        "organizations",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column(
            "currency",
            sa.Enum(
                "USD",
                "EUR",
                "GBP",
                "CAD",
                "AUD",
                "JPY",
                "BHD",
                name="currency",
                native_enum=False,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("anchor_day", sa.BigInteger(), nullable=False),
        sa.Column("billing_email", sa.Text(), nullable=False),
        sa.Column("stripe_customer_id", sa.Text(), nullable=True),
        sa.Column("invoice_prefix", sa.Text(), nullable=False),
        sa.Column("invoice_sequence", sa.BigInteger(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("open_period_end", sa.DateTime(timezone=True), nullable=False),
        sa.Column("subscription_changes", sa.BigInteger(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "anchor_day BETWEEN 1 AND 31", name=op.f("ck_organizations_anchor_day_in_month")
        ),
        sa.CheckConstraint(
            "invoice_sequence >= 0", name=op.f("ck_organizations_sequence_not_negative")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_organizations")),
        sa.UniqueConstraint("invoice_prefix", name=op.f("uq_organizations_invoice_prefix")),
        sa.UniqueConstraint("key", name=op.f("uq_organizations_key")),
        sa.UniqueConstraint("slug", name=op.f("uq_organizations_slug")),
        sa.UniqueConstraint("stripe_customer_id", name=op.f("uq_organizations_stripe_customer_id")),
    )
    op.create_index(
        op.f("ix_organizations_open_period_end"), "organizations", ["open_period_end"], unique=False
    )
    op.create_table(
        "plans",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_plans")),
        sa.UniqueConstraint("slug", name=op.f("uq_plans_slug")),
    )
    op.create_table(
        "stripe_events",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("object_id", sa.Text(), nullable=True),
        sa.Column("api_version", sa.Text(), nullable=True),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("handled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "outcome",
            sa.Enum("PROCESSED", "IGNORED", "FAILED", name="outcome", native_enum=False, length=32),
            nullable=True,
        ),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stripe_events")),
    )
    op.create_index(
        "ix_stripe_events_due",
        "stripe_events",
        ["next_attempt_at"],
        unique=False,
        postgresql_where=sa.text("handled_at IS NULL"),
    )
    op.create_index("ix_stripe_events_object_id", "stripe_events", ["object_id"], unique=False)
    op.create_table(
        "users",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=True),
        sa.Column("is_ops", sa.Boolean(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("email", name=op.f("uq_users_email")),
    )
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("hint", sa.Text(), nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.Column("scopes", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["org_id"], ["organizations.id"], name=op.f("fk_api_keys_org_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("sha256", name=op.f("uq_api_keys_sha256")),
    )
    op.create_index(op.f("ix_api_keys_org_id"), "api_keys", ["org_id"], unique=False)
    op.create_table(
        "audit_entries",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=True),
        sa.Column("details", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.ForeignKeyConstraint(
            ["org_id"], ["organizations.id"], name=op.f("fk_audit_entries_org_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_entries")),
    )
    op.create_index(op.f("ix_audit_entries_at"), "audit_entries", ["at"], unique=False)
    op.create_index(op.f("ix_audit_entries_org_id"), "audit_entries", ["org_id"], unique=False)
    op.create_table(
        "invoices",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column(
            "kind",
            sa.Enum("PERIOD", "OFF_CYCLE", name="invoicekind", native_enum=False, length=32),
            nullable=False,
        ),
        sa.Column("cause", sa.Text(), nullable=True),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("replaces_id", sa.Uuid(), nullable=True),
        sa.Column(
            "status",
            sa.Enum(
                "DRAFT",
                "CLOSING",
                "OPEN",
                "PAID",
                "VOID",
                "UNCOLLECTIBLE",
                name="invoicestatus",
                native_enum=False,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("period_start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("period_end", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closes_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "currency",
            sa.Enum(
                "USD",
                "EUR",
                "GBP",
                "CAD",
                "AUD",
                "JPY",
                "BHD",
                name="currency",
                native_enum=False,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("number", sa.Text(), nullable=True),
        sa.Column("total_minor", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=True),
        sa.Column(
            "settled_by",
            sa.Enum("NOTHING_DUE", name="settlement", native_enum=False, length=32),
            nullable=True,
        ),
        sa.Column("issued_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("paid_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("voided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(kind = 'OFF_CYCLE') = (cause IS NOT NULL)",
            name=op.f("ck_invoices_cause_when_off_cycle"),
        ),
        sa.CheckConstraint(
            "(status = 'CLOSING') = (number IS NULL)", name=op.f("ck_invoices_numbered_when_issued")
        ),
        sa.CheckConstraint("period_start < period_end", name=op.f("ck_invoices_period_ordered")),
        sa.CheckConstraint("total_minor >= 0", name=op.f("ck_invoices_total_not_negative")),
        sa.ForeignKeyConstraint(["org_id"], ["organizations.id"], name=op.f("fk_invoices_org_id")),
        sa.ForeignKeyConstraint(
            ["replaces_id"], ["invoices.id"], name=op.f("fk_invoices_replaces_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_invoices")),
        sa.UniqueConstraint("number", name=op.f("uq_invoices_number")),
        sa.UniqueConstraint("org_id", "cause", name=op.f("uq_invoices_org_id_cause")),
    )
    op.create_index(
        "ix_invoices_closing",
        "invoices",
        ["closes_at"],
        unique=False,
        postgresql_where=sa.text("status = 'CLOSING'"),
    )
    op.create_index(
        "ix_invoices_org_id_period_start_id",
        "invoices",
        ["org_id", "period_start", "id"],
        unique=False,
    )
    op.create_index(
        "uq_invoices_period",
        "invoices",
        ["org_id", "period_start", "revision"],
        unique=True,
        postgresql_where=sa.text("kind = 'PERIOD'"),
    )
    op.create_table(
        "memberships",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column(
            "role",
            sa.Enum(
                "OWNER", "BILLING", "MEMBER", "READONLY", name="role", native_enum=False, length=32
            ),
            nullable=False,
        ),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["org_id"], ["organizations.id"], name=op.f("fk_memberships_org_id")
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_memberships_user_id")),
        sa.PrimaryKeyConstraint("org_id", "user_id", name=op.f("pk_memberships")),
    )
    op.create_index(op.f("ix_memberships_user_id"), "memberships", ["user_id"], unique=False)
    op.create_table(
        "prices",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("plan_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column(
            "currency",
            sa.Enum(
                "USD",
                "EUR",
                "GBP",
                "CAD",
                "AUD",
                "JPY",
                "BHD",
                name="currency",
                native_enum=False,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("meter_id", sa.Uuid(), nullable=True),
        sa.Column("filters", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["meter_id"], ["meters.id"], name=op.f("fk_prices_meter_id")),
        sa.ForeignKeyConstraint(["plan_id"], ["plans.id"], name=op.f("fk_prices_plan_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_prices")),
        sa.UniqueConstraint(
            "plan_id", "slug", "currency", name=op.f("uq_prices_plan_id_slug_currency")
        ),
    )
    op.create_index(op.f("ix_prices_meter_id"), "prices", ["meter_id"], unique=False)
    op.create_table(
        "quarantined_events",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=True),
        sa.Column(
            "verdict",
            sa.Enum(
                "ACCEPTED",
                "DUPLICATE",
                "CONFLICT",
                "REJECTED",
                name="verdict",
                native_enum=False,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("event", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["org_id"], ["organizations.id"], name=op.f("fk_quarantined_events_org_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_quarantined_events")),
    )
    op.create_index(
        op.f("ix_quarantined_events_org_id"), "quarantined_events", ["org_id"], unique=False
    )
    op.create_index(
        op.f("ix_quarantined_events_recorded_at"),
        "quarantined_events",
        ["recorded_at"],
        unique=False,
    )
    op.create_table(
        "subscriptions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("plan_id", sa.Uuid(), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "ends_at IS NULL OR starts_at < ends_at", name=op.f("ck_subscriptions_period_ordered")
        ),
        sa.ForeignKeyConstraint(
            ["org_id"], ["organizations.id"], name=op.f("fk_subscriptions_org_id")
        ),
        sa.ForeignKeyConstraint(["plan_id"], ["plans.id"], name=op.f("fk_subscriptions_plan_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subscriptions")),
    )
    op.create_index(
        "ix_subscriptions_org_id_starts_at", "subscriptions", ["org_id", "starts_at"], unique=False
    )
    op.create_table(
        "usage_events",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("event_type", sa.Text(), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("data", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["org_id"], ["organizations.id"], name=op.f("fk_usage_events_org_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_usage_events")),
    )
    op.create_index(
        "ix_usage_events_org_id_occurred_at",
        "usage_events",
        ["org_id", "occurred_at"],
        unique=False,
    )
    op.create_table(
        "usage_identities",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("given_time", sa.DateTime(timezone=True), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["org_id"], ["organizations.id"], name=op.f("fk_usage_identities_org_id")
        ),
        sa.PrimaryKeyConstraint(
            "org_id", "source", "external_id", name=op.f("pk_usage_identities")
        ),
    )
    op.create_table(
        "usage_series",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("meter_id", sa.Uuid(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("dimensions", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["meter_id"], ["meters.id"], name=op.f("fk_usage_series_meter_id")),
        sa.ForeignKeyConstraint(
            ["org_id"], ["organizations.id"], name=op.f("fk_usage_series_org_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_usage_series")),
        sa.UniqueConstraint(
            "org_id", "meter_id", "digest", name=op.f("uq_usage_series_org_id_meter_id_digest")
        ),
    )
    op.create_table(
        "usage_sources",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("last_occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["org_id"], ["organizations.id"], name=op.f("fk_usage_sources_org_id")
        ),
        sa.PrimaryKeyConstraint("org_id", "source", name=op.f("pk_usage_sources")),
    )
    op.create_table(
        "web_sessions",
        sa.Column("token_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_web_sessions_user_id")),
        sa.PrimaryKeyConstraint("token_sha256", name=op.f("pk_web_sessions")),
    )
    op.create_index(op.f("ix_web_sessions_user_id"), "web_sessions", ["user_id"], unique=False)
    op.create_table(
        "invoice_syncs",
        sa.Column("invoice_id", sa.Uuid(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "PENDING",
                "PUSHING",
                "PUSHED",
                "HELD",
                "FAILED",
                "NOT_NEEDED",
                name="syncstate",
                native_enum=False,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column(
            "step",
            sa.Enum(
                "NEW",
                "CREATED",
                "LINES",
                "FINALIZED",
                name="syncstep",
                native_enum=False,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("stripe_invoice_id", sa.Text(), nullable=True),
        sa.Column("claim", sa.BigInteger(), nullable=False),
        sa.Column("key_attempt", sa.BigInteger(), nullable=False),
        sa.Column("keyed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("is_in_doubt", sa.Boolean(), nullable=False),
        sa.Column("payload_sha256", sa.LargeBinary(), nullable=True),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("error_code", sa.Text(), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("pushed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("fetch_tickets", sa.BigInteger(), nullable=False),
        sa.Column("applied_ticket", sa.BigInteger(), nullable=False),
        sa.Column("fetched_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("stripe_status", sa.Text(), nullable=True),
        sa.Column("hosted_invoice_url", sa.Text(), nullable=True),
        sa.Column("payment_attempts", sa.BigInteger(), nullable=False),
        sa.Column("next_payment_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["invoice_id"], ["invoices.id"], name=op.f("fk_invoice_syncs_invoice_id")
        ),
        sa.PrimaryKeyConstraint("invoice_id", name=op.f("pk_invoice_syncs")),
        sa.UniqueConstraint("stripe_invoice_id", name=op.f("uq_invoice_syncs_stripe_invoice_id")),
    )
    op.create_index(
        "ix_invoice_syncs_due",
        "invoice_syncs",
        ["next_attempt_at"],
        unique=False,
        postgresql_where=sa.text("state IN ('PENDING', 'PUSHING')"),
    )
    op.create_table(
        "one_off_items",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("idempotency_key", sa.Text(), nullable=False),
        sa.Column("request_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column(
            "currency",
            sa.Enum(
                "USD",
                "EUR",
                "GBP",
                "CAD",
                "AUD",
                "JPY",
                "BHD",
                name="currency",
                native_enum=False,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("incurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("invoice_id", sa.Uuid(), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("amount_minor > 0", name=op.f("ck_one_off_items_amount_positive")),
        sa.ForeignKeyConstraint(
            ["invoice_id"], ["invoices.id"], name=op.f("fk_one_off_items_invoice_id")
        ),
        sa.ForeignKeyConstraint(
            ["org_id"], ["organizations.id"], name=op.f("fk_one_off_items_org_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_one_off_items")),
        sa.UniqueConstraint(
            "org_id", "idempotency_key", name=op.f("uq_one_off_items_org_id_idempotency_key")
        ),
    )
    op.create_index(
        op.f("ix_one_off_items_invoice_id"), "one_off_items", ["invoice_id"], unique=False
    )
    op.create_index(
        "ix_one_off_items_unbilled",
        "one_off_items",
        ["org_id", "incurred_at"],
        unique=False,
        postgresql_where=sa.text("invoice_id IS NULL"),
    )
    op.create_table(
        "price_versions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("price_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("effective_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("terms", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["price_id"], ["prices.id"], name=op.f("fk_price_versions_price_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_price_versions")),
        sa.UniqueConstraint(
            "price_id", "effective_from", name=op.f("uq_price_versions_price_id_effective_from")
        ),
        sa.UniqueConstraint("price_id", "number", name=op.f("uq_price_versions_price_id_number")),
    )
    op.create_table(
        "usage_buckets",
        sa.Column("series_id", sa.Uuid(), nullable=False),
        sa.Column("hour", sa.DateTime(timezone=True), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("meter_id", sa.Uuid(), nullable=False),
        sa.Column("event_count", sa.BigInteger(), nullable=False),
        sa.Column("total", sa.Numeric(precision=38, scale=12), nullable=False),
        sa.Column("highest", sa.Numeric(precision=38, scale=12), nullable=False),
        sa.Column("last_value", sa.Numeric(precision=38, scale=12), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_source", sa.Text(), nullable=False),
        sa.Column("last_external_id", sa.Text(), nullable=False),
        sa.Column("weighted", sa.Numeric(precision=38, scale=12), nullable=True),
        sa.ForeignKeyConstraint(
            ["series_id"], ["usage_series.id"], name=op.f("fk_usage_buckets_series_id")
        ),
        sa.PrimaryKeyConstraint("series_id", "hour", name=op.f("pk_usage_buckets")),
    )
    op.create_index(
        "ix_usage_buckets_org_id_hour", "usage_buckets", ["org_id", "hour"], unique=False
    )
    op.create_table(
        "usage_distinct_values",
        sa.Column("series_id", sa.Uuid(), nullable=False),
        sa.Column("hour", sa.DateTime(timezone=True), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["series_id"], ["usage_series.id"], name=op.f("fk_usage_distinct_values_series_id")
        ),
        sa.PrimaryKeyConstraint(
            "series_id", "hour", "value", name=op.f("pk_usage_distinct_values")
        ),
    )
    op.create_table(
        "invoice_lines",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("invoice_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "CARRIED_IN",
                "USAGE",
                "FEE",
                "ONE_OFF",
                "FEE_IN_ADVANCE",
                "CARRIED_OUT",
                name="linekind",
                native_enum=False,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("price_version_id", sa.Uuid(), nullable=True),
        sa.Column("segment", sa.BigInteger(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("product", sa.Text(), nullable=True),
        sa.Column("span_start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("span_end", sa.DateTime(timezone=True), nullable=False),
        sa.Column("quantity", sa.Numeric(precision=38, scale=12), nullable=True),
        sa.Column("unit", sa.Text(), nullable=True),
        sa.Column("exact_minor", sa.Text(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("steps", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("corrects_id", sa.Uuid(), nullable=True),
        sa.ForeignKeyConstraint(
            ["corrects_id"], ["invoices.id"], name=op.f("fk_invoice_lines_corrects_id")
        ),
        sa.ForeignKeyConstraint(
            ["invoice_id"], ["invoices.id"], name=op.f("fk_invoice_lines_invoice_id")
        ),
        sa.ForeignKeyConstraint(
            ["price_version_id"],
            ["price_versions.id"],
            name=op.f("fk_invoice_lines_price_version_id"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_invoice_lines")),
        sa.UniqueConstraint(
            "invoice_id", "position", name=op.f("uq_invoice_lines_invoice_id_position")
        ),
    )


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_table("invoice_lines")
    op.drop_table("usage_distinct_values")
    op.drop_index("ix_usage_buckets_org_id_hour", table_name="usage_buckets")
    op.drop_table("usage_buckets")
    op.drop_table("price_versions")
    op.drop_index(
        "ix_one_off_items_unbilled",
        table_name="one_off_items",
        postgresql_where=sa.text("invoice_id IS NULL"),
    )
    op.drop_index(op.f("ix_one_off_items_invoice_id"), table_name="one_off_items")
    op.drop_table("one_off_items")
    op.drop_index(
        "ix_invoice_syncs_due",
        table_name="invoice_syncs",
        postgresql_where=sa.text("state IN ('PENDING', 'PUSHING')"),
    )
    op.drop_table("invoice_syncs")
    op.drop_index(op.f("ix_web_sessions_user_id"), table_name="web_sessions")
    op.drop_table("web_sessions")
    op.drop_table("usage_sources")
    op.drop_table("usage_series")
    op.drop_table("usage_identities")
    op.drop_index("ix_usage_events_org_id_occurred_at", table_name="usage_events")
    op.drop_table("usage_events")
    op.drop_index("ix_subscriptions_org_id_starts_at", table_name="subscriptions")
    op.drop_table("subscriptions")
    op.drop_index(op.f("ix_quarantined_events_recorded_at"), table_name="quarantined_events")
    op.drop_index(op.f("ix_quarantined_events_org_id"), table_name="quarantined_events")
    op.drop_table("quarantined_events")
    op.drop_index(op.f("ix_prices_meter_id"), table_name="prices")
    op.drop_table("prices")
    op.drop_index(op.f("ix_memberships_user_id"), table_name="memberships")
    op.drop_table("memberships")
    op.drop_index(
        "uq_invoices_period", table_name="invoices", postgresql_where=sa.text("kind = 'PERIOD'")
    )
    op.drop_index("ix_invoices_org_id_period_start_id", table_name="invoices")
    op.drop_index(
        "ix_invoices_closing", table_name="invoices", postgresql_where=sa.text("status = 'CLOSING'")
    )
    op.drop_table("invoices")
    op.drop_index(op.f("ix_audit_entries_org_id"), table_name="audit_entries")
    op.drop_index(op.f("ix_audit_entries_at"), table_name="audit_entries")
    op.drop_table("audit_entries")
    op.drop_index(op.f("ix_api_keys_org_id"), table_name="api_keys")
    op.drop_table("api_keys")
    op.drop_table("users")
    op.drop_index("ix_stripe_events_object_id", table_name="stripe_events")
    op.drop_index(
        "ix_stripe_events_due",
        table_name="stripe_events",
        postgresql_where=sa.text("handled_at IS NULL"),
    )
    op.drop_table("stripe_events")
    op.drop_table("plans")
    op.drop_index(op.f("ix_organizations_open_period_end"), table_name="organizations")
    op.drop_table("organizations")
    op.drop_index(op.f("ix_meters_event_type"), table_name="meters")
    op.drop_table("meters")
    op.drop_table("clock_offsets")
