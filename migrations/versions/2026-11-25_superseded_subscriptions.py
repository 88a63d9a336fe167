"""What was decided about subscriptions and taken back; what is due at Stripe in order."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.create_table(
        "superseded_subscriptions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("subscription_id", sa.Uuid(), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("plan_id", sa.Uuid(), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("trial_ends_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("replaces_id", sa.Uuid(), nullable=True),
        sa.Column("known_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("known_until", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["org_id"], ["organizations.id"], name=op.f("fk_superseded_subscriptions_org_id")
        ),
        sa.ForeignKeyConstraint(
            ["plan_id"], ["plans.id"], name=op.f("fk_superseded_subscriptions_plan_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_superseded_subscriptions")),
    )
    op.create_index(
        "ix_superseded_subscriptions_org_id", "superseded_subscriptions", ["org_id"], unique=False
    )
    op.drop_index("ix_invoice_syncs_due", table_name="invoice_syncs")
    _index_what_is_due("next_attempt_at", "invoice_id")


def downgrade() -> None:
    op.drop_index("ix_invoice_syncs_due", table_name="invoice_syncs")
    _index_what_is_due("next_attempt_at")
    op.drop_index("ix_superseded_subscriptions_org_id", table_name="superseded_subscriptions")
    op.drop_table("superseded_subscriptions")


def _index_what_is_due(*columns: str) -> None:
    """Ordered as it is claimed, so that a claim reads no further than what it takes."""
    op.create_index(
        "ix_invoice_syncs_due",
        "invoice_syncs",
        list(columns),
        unique=False,
        postgresql_where=sa.text("state IN ('PENDING', 'PUSHING')"),
    )
