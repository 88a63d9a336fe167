"""What was used: identities, raw events, series, hourly buckets, and what could not be counted.

Only `billing/usage` (the UsageStore door) reads or writes these.
"""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from billing.ids import EventId, MeterId, OrgId, SeriesId, new_id
from billing.models.base import Base, Json


class Verdict(StrEnum):
    """What became of one event."""

    ACCEPTED = "ACCEPTED"
    DUPLICATE = "DUPLICATE"
    CONFLICT = "CONFLICT"
    REJECTED = "REJECTED"


class UsageIdentity(Base):
    """(organization, source, id): used once, for ever, whatever the event's time.

    `fingerprint` is what a resend is compared with: type, values and declared dimensions. The
    event's instant is compared apart, and only when both sides gave one.
    """

    __tablename__ = "usage_identities"

    org_id: Mapped[OrgId] = mapped_column(ForeignKey("organizations.id"), primary_key=True)
    source: Mapped[str] = mapped_column(primary_key=True)
    external_id: Mapped[str] = mapped_column(primary_key=True)
    event_id: Mapped[EventId]
    fingerprint: Mapped[bytes]
    given_time: Mapped[datetime | None]
    recorded_at: Mapped[datetime]


class UsageEvent(Base):
    """One accepted event as it was counted. `data` keeps values (as strings) and dimensions."""

    __tablename__ = "usage_events"
    __table_args__ = (Index("ix_usage_events_org_id_occurred_at", "org_id", "occurred_at"),)

    id: Mapped[EventId] = mapped_column(primary_key=True, default=new_id)
    org_id: Mapped[OrgId] = mapped_column(ForeignKey("organizations.id"))
    source: Mapped[str]
    external_id: Mapped[str]
    event_type: Mapped[str]
    occurred_at: Mapped[datetime]
    data: Mapped[Json]
    recorded_at: Mapped[datetime]


class UsageSeries(Base):
    """One combination of dimensions of one meter, stored once. `digest` makes it findable."""

    __tablename__ = "usage_series"
    __table_args__ = (UniqueConstraint("org_id", "meter_id", "digest"),)

    id: Mapped[SeriesId] = mapped_column(primary_key=True, default=new_id)
    org_id: Mapped[OrgId] = mapped_column(ForeignKey("organizations.id"))
    meter_id: Mapped[MeterId] = mapped_column(ForeignKey("meters.id"))
    digest: Mapped[bytes]
    dimensions: Mapped[Json]
    recorded_at: Mapped[datetime]


class UsageBucket(Base):
    """What one series counted in one hour: enough for every aggregation.

    `last_*` is the event latest by (time, source, id), never by arrival. `weighted` is
    value x seconds within the hour after its first event; distinct values are rows apart.
    """

    __tablename__ = "usage_buckets"
    __table_args__ = (Index("ix_usage_buckets_org_id_hour", "org_id", "hour"),)

    series_id: Mapped[SeriesId] = mapped_column(ForeignKey("usage_series.id"), primary_key=True)
    hour: Mapped[datetime] = mapped_column(primary_key=True)
    org_id: Mapped[OrgId]
    meter_id: Mapped[MeterId]
    event_count: Mapped[int]
    total: Mapped[Decimal]
    highest: Mapped[Decimal]
    last_value: Mapped[Decimal]
    last_at: Mapped[datetime]
    last_source: Mapped[str]
    last_external_id: Mapped[str]
    weighted: Mapped[Decimal | None]


class UsageDistinctValue(Base):
    """One value a series counted in one hour, for counting distinct ones."""

    __tablename__ = "usage_distinct_values"

    series_id: Mapped[SeriesId] = mapped_column(ForeignKey("usage_series.id"), primary_key=True)
    hour: Mapped[datetime] = mapped_column(primary_key=True)
    value: Mapped[str] = mapped_column(primary_key=True)


class UsageSource(Base):
    """How far one source has been heard of, for one organization: the freshness shown."""

    __tablename__ = "usage_sources"

    org_id: Mapped[OrgId] = mapped_column(ForeignKey("organizations.id"), primary_key=True)
    source: Mapped[str] = mapped_column(primary_key=True)
    last_occurred_at: Mapped[datetime]
    last_recorded_at: Mapped[datetime]


class QuarantinedEvent(Base):
    """An event that was refused: kept 30 days, shown, never counted, replayable once mended."""

    __tablename__ = "quarantined_events"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    org_id: Mapped[OrgId | None] = mapped_column(ForeignKey("organizations.id"), index=True)
    verdict: Mapped[Verdict]
    code: Mapped[str]
    message: Mapped[str]
    event: Mapped[Json]
    recorded_at: Mapped[datetime] = mapped_column(index=True)
