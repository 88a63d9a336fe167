"""The sandbox's place in time. A row exists only in a sandbox's database."""

from datetime import timedelta

from sqlalchemy import CheckConstraint, Interval
from sqlalchemy.orm import Mapped, mapped_column

from billing.models.base import Base


class ClockOffset(Base):
    """How far the sandbox has travelled from the wall clock; at most one row."""

    __tablename__ = "clock_offsets"
    __table_args__ = (CheckConstraint("id = 1", name="only_one"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, default=1)
    ahead: Mapped[timedelta] = mapped_column(Interval())
