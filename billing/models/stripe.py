"""The inbox: what Stripe told us, kept before it is acted on."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import Index, text
from sqlalchemy.orm import Mapped, mapped_column

from billing.ids import StripeEventId
from billing.models.base import Base


class Outcome(StrEnum):
    """What became of a received event."""

    PROCESSED = "PROCESSED"
    IGNORED = "IGNORED"
    FAILED = "FAILED"


class StripeEvent(Base):
    """One event by Stripe's own id, so a second delivery changes nothing. Only ids are kept."""

    __tablename__ = "stripe_events"
    __table_args__ = (
        Index(
            "ix_stripe_events_due", "next_attempt_at", postgresql_where=text("handled_at IS NULL")
        ),
        Index("ix_stripe_events_object_id", "object_id"),
    )

    id: Mapped[StripeEventId] = mapped_column(primary_key=True)
    type: Mapped[str]
    object_id: Mapped[str | None]
    api_version: Mapped[str | None]
    occurred_at: Mapped[datetime]
    received_at: Mapped[datetime]
    handled_at: Mapped[datetime | None]
    outcome: Mapped[Outcome | None]
    reason: Mapped[str | None]
    attempts: Mapped[int] = mapped_column(default=0)
    next_attempt_at: Mapped[datetime]
