"""A day of many events is read in several jobs; whether Stripe still sends webhooks is asked."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.add_column(
        "stripe_event_cursors", sa.Column("slice_end", sa.DateTime(timezone=True), nullable=True)
    )
    op.add_column("stripe_event_cursors", sa.Column("page_after", sa.Text(), nullable=True))
    op.create_table(
        "webhook_endpoint_checks",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=True),
        sa.Column("checked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_endpoint_checks")),
    )


def downgrade() -> None:
    op.drop_table("webhook_endpoint_checks")
    op.drop_column("stripe_event_cursors", "page_after")
    op.drop_column("stripe_event_cursors", "slice_end")
