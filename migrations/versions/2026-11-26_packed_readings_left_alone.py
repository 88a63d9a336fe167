"""Packed readings are neither analyzed nor, where it hardly helps, compressed.

Nothing is looked up by what is in the arrays. To gather statistics of them every automatic ANALYZE
unpacked, sorted and counted thirty thousand chunks, again each time a month had grown by a tenth.
Ids and instants shrink by a tenth at most, and trying cost more than writing them does. What is
compressed already stays as it is.
"""

from alembic import op

revision = "0009"
down_revision = "0008"

PACKED = {
    "usage_tail": ("series_ids", "instants", "quantities", "labels", "sources", "external_ids"),
    "usage_chunks": (
        "series_ids",
        "occurred_at",
        "quantities",
        "labels",
        "sources",
        "external_ids",
        "recorded_at",
    ),
}


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    _set(statistics=0, storage="EXTERNAL")


def downgrade() -> None:
    _set(statistics=-1, storage="EXTENDED")


def _set(*, statistics: int, storage: str) -> None:
    """Of the partitions that are there too; of later ones, see `billing/usage/months.py`."""
    for table, columns in PACKED.items():
        settings = ", ".join(f"ALTER {column} SET STATISTICS {statistics}" for column in columns)
        op.execute(f"ALTER TABLE {table} {settings}")
    for column in ("occurred_at", "external_ids"):
        op.execute(f"ALTER TABLE usage_chunks ALTER {column} SET STORAGE {storage}")
