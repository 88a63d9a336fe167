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


class EventOrigin(StrEnum):
    """How we came to know of an event: told, or found in Stripe's list because we were not."""

    WEBHOOK = "WEBHOOK"
    BACKFILL = "BACKFILL"


class StripeEvent(Base):
    """One event by Stripe's own id, so a second delivery changes nothing. Only ids are kept."""

    __tablename__ = "stripe_events"
    __table_args__ = (
        Index(
            "ix_stripe_events_due", "next_attempt_at", postgresql_where=text("handled_at IS NULL")
        ),
        Index("ix_stripe_events_object_id", "object_id"),
        Index("ix_stripe_events_received_at_id", "received_at", "id"),
    )

    id: Mapped[StripeEventId] = mapped_column(primary_key=True)
    type: Mapped[str]
    object_id: Mapped[str | None]
    api_version: Mapped[str | None]
    origin: Mapped[EventOrigin] = mapped_column(default=EventOrigin.WEBHOOK)
    occurred_at: Mapped[datetime]
    received_at: Mapped[datetime]
    handled_at: Mapped[datetime | None]
    outcome: Mapped[Outcome | None]
    reason: Mapped[str | None]
    attempts: Mapped[int] = mapped_column(default=0)
    next_attempt_at: Mapped[datetime]


class StripeEventCursor(Base):
    """Up to when Stripe's list of events has been read. One row, leased by `next_attempt_at`."""

    __tablename__ = "stripe_event_cursors"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    read_until: Mapped[datetime | None]
    """The `created` of the last event that was listed, or when a list without any was asked for."""

    slice_end: Mapped[datetime | None]
    page_after: Mapped[str | None]
    """A slice of which not all pages are read: they go on after this event, the newest first."""

    next_attempt_at: Mapped[datetime]
    checked_at: Mapped[datetime | None]
    found: Mapped[int] = mapped_column(default=0)
    """How many events the last reading found that no webhook had told us of."""


class WebhookEndpointCheck(Base):
    """What Stripe says of the endpoint that its webhooks come by. One row, leased likewise.

    `status` is Stripe's, `enabled` or `disabled`; None where it has no endpoint of our address.
    """

    __tablename__ = "webhook_endpoint_checks"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    url: Mapped[str]
    status: Mapped[str | None]
    checked_at: Mapped[datetime | None]
    next_attempt_at: Mapped[datetime]
