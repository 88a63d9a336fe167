"""Packed readings are hardly analyzed and, where it does not help, not compressed.

Of the arrays no plan needs to know more than how long they are. Every automatic ANALYZE unpacked,
sorted and counted thirty thousand rows of them, again each time a month had grown by a tenth;
three hundred are enough, and a sample is as large as its most curious column asks. Random ids do
not shrink at all, instants by two bytes of eight, and trying cost more than that is worth. What is
compressed already stays as it is.
"""

from alembic import op

revision = "0009"
down_revision = "0008"

TAIL = ("shard", "id", "form", "month", "recorded_at", "series_ids", "instants", "quantities")
CHUNKS = ("hour", "shard", "form", "id", "series_ids", "occurred_at", "quantities", "recorded_at")
TEXTS = ("labels", "sources", "external_ids")


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    _set(statistics=1, storage="EXTERNAL")


def downgrade() -> None:
    _set(statistics=-1, storage="EXTENDED")


def _set(*, statistics: int, storage: str) -> None:
    """Of the partitions that are there too; of later ones, see `billing/usage/months.py`."""
    for table, columns in (("usage_tail", TAIL + TEXTS), ("usage_chunks", CHUNKS + TEXTS)):
        settings = ", ".join(f"ALTER {column} SET STATISTICS {statistics}" for column in columns)
        op.execute(f"ALTER TABLE {table} {settings}")
    for column in ("occurred_at", "external_ids"):
        op.execute(f"ALTER TABLE usage_chunks ALTER {column} SET STORAGE {storage}")
