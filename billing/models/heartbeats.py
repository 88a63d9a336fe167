"""What sources say of themselves: how far they have sent, and what each hour came to.

`org_id` None is a source of the whole platform; otherwise of one organization. Only
`billing/usage` reads or writes these.
"""

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import ForeignKey, Index, Numeric, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from billing.ids import MeterId, OrgId, new_id
from billing.models.base import Base


class UsageHeartbeat(Base):
    """Until when one source has sent everything, as it last said at `recorded_at`."""

    __tablename__ = "usage_heartbeats"
    __table_args__ = (UniqueConstraint("source", "org_id", postgresql_nulls_not_distinct=True),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    source: Mapped[str]
    org_id: Mapped[OrgId | None] = mapped_column(ForeignKey("organizations.id"), index=True)
    through: Mapped[datetime]
    recorded_at: Mapped[datetime]


class UsageControlTotal(Base):
    """What one source says one hour of one meter came to, and what we counted of it.

    `counted_…` are None until it was compared; `event_count` and `total` are the source's words,
    and `recorded_at` is since when they are. `next_check_at` is None once it is left as it is.
    """

    __tablename__ = "usage_control_totals"
    __table_args__ = (
        UniqueConstraint(
            "source", "org_id", "hour", "meter_id", postgresql_nulls_not_distinct=True
        ),
        Index("ix_usage_control_totals_due", "next_check_at", postgresql_where=text("NOT is_same")),
        Index(
            "ix_usage_control_totals_open",
            "source",
            "org_id",
            "hour",
            postgresql_where=text("NOT is_same"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    source: Mapped[str]
    org_id: Mapped[OrgId | None] = mapped_column(ForeignKey("organizations.id"))
    hour: Mapped[datetime]
    meter_id: Mapped[MeterId] = mapped_column(ForeignKey("meters.id"))
    event_count: Mapped[int]
    total: Mapped[Decimal] = mapped_column(Numeric)
    counted_events: Mapped[int | None]
    counted_total: Mapped[Decimal | None] = mapped_column(Numeric)
    is_same: Mapped[bool] = mapped_column(default=False)
    checked_at: Mapped[datetime | None]
    next_check_at: Mapped[datetime | None]
    recorded_at: Mapped[datetime]
