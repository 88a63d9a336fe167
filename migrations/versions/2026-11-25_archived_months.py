"""Months whose packed readings are kept elsewhere: nothing may be counted into them meanwhile."""

from alembic import op

revision = "0004"
down_revision = "0003"

ARCHIVED_MONTHS = """
CREATE TABLE usage_archived_months (
    month date CONSTRAINT pk_usage_archived_months PRIMARY KEY,
    chunks bigint NOT NULL,
    readings bigint NOT NULL,
    archived_at timestamptz NOT NULL
)
"""


def upgrade() -> None:
    op.execute(ARCHIVED_MONTHS)


def downgrade() -> None:
    raise NotImplementedError("Attach every month again, then drop usage_archived_months by hand.")
