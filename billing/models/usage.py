"""What was used: identities, readings, series, hourly buckets, and what could not be counted.

Only `billing/usage` (the UsageStore door) reads or writes these.
"""

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Numeric,
    PrimaryKeyConstraint,
    SmallInteger,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from billing.ids import MeterId, OrgId, SeriesId, new_id
from billing.models.base import Base, Json


class Verdict(StrEnum):
    """What became of one event."""

    ACCEPTED = "ACCEPTED"
    DUPLICATE = "DUPLICATE"
    CONFLICT = "CONFLICT"
    REJECTED = "REJECTED"


class Form(StrEnum):
    """How readings are folded: added up, kept until the next one, or told apart by label."""

    COUNTED = "COUNTED"
    HELD = "HELD"
    DISTINCT = "DISTINCT"


class UsageIdentity(Base):
    """(organization, source, id) as a digest: used once, for ever, whatever the event's time.

    Its order follows organizations, so that one organization's identities lie together.
    `fingerprint` is what a resend is compared with: type, values and declared dimensions.
    `occurred_at` is the instant the event was counted at; compared only where both sides gave one.
    """

    __tablename__ = "usage_identities"

    key: Mapped[UUID] = mapped_column(primary_key=True)
    fingerprint: Mapped[int]
    occurred_at: Mapped[datetime]
    is_time_given: Mapped[bool]


class UsageTail(Base):
    """Readings acknowledged but not folded yet, packed: those of one batch, shard and month.

    A reading is what one event adds to one series. The arrays run side by side;
    `instants` are microseconds since 1970, which cost less than timestamps to write and to read.
    """

    __tablename__ = "usage_tail"
    __table_args__ = (PrimaryKeyConstraint("shard", "id"),)

    shard: Mapped[int] = mapped_column(SmallInteger)
    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True))
    form: Mapped[str]
    month: Mapped[date]
    recorded_at: Mapped[datetime]
    series_ids: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))
    instants: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))
    quantities: Mapped[list[Decimal]] = mapped_column(ARRAY(Numeric))
    labels: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    sources: Mapped[list[str]] = mapped_column(ARRAY(Text))
    external_ids: Mapped[list[str]] = mapped_column(ARRAY(Text))


class UsageChunk(Base):
    """Readings that are in the buckets, packed by hour, shard and form; a partition each month.

    What `verify`, drill-down and the re-reading of one series read; the view `usage_events` shows
    them, and the tail's, a row each.
    """

    __tablename__ = "usage_chunks"
    __table_args__ = (
        PrimaryKeyConstraint("hour", "shard", "form", "id"),
        Index(
            "ix_usage_chunks_small",
            "hour",
            "shard",
            "form",
            postgresql_where=text("cardinality(series_ids) < 32"),
        ),
        {"postgresql_partition_by": "RANGE (hour)"},
    )

    hour: Mapped[datetime]
    shard: Mapped[int] = mapped_column(SmallInteger)
    form: Mapped[str]
    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True))
    series_ids: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))
    occurred_at: Mapped[list[datetime]] = mapped_column(ARRAY(DateTime(timezone=True)))
    quantities: Mapped[list[Decimal]] = mapped_column(ARRAY(Numeric))
    labels: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    sources: Mapped[list[str]] = mapped_column(ARRAY(Text))
    external_ids: Mapped[list[str]] = mapped_column(ARRAY(Text))
    recorded_at: Mapped[list[datetime]] = mapped_column(ARRAY(DateTime(timezone=True)))


class UsageSeries(Base):
    """One combination of dimensions of one meter, stored once. `digest` makes it findable."""

    __tablename__ = "usage_series"
    __table_args__ = (UniqueConstraint("org_id", "meter_id", "digest"),)

    id: Mapped[SeriesId] = mapped_column(BigInteger, Identity(), primary_key=True)
    org_id: Mapped[OrgId] = mapped_column(ForeignKey("organizations.id"))
    meter_id: Mapped[MeterId] = mapped_column(ForeignKey("meters.id"))
    digest: Mapped[bytes]
    dimensions: Mapped[Json]
    recorded_at: Mapped[datetime]


class UsageBucket(Base):
    """What one series counted in one hour: enough for every aggregation.

    The last four are for readings that are HELD until the next one: the hour's first and last
    instant, the value it ends with (ties by source and id, never by arrival), and `weighted`:
    value x seconds from the hour's first reading to its end. Distinct labels are rows apart.
    A partition each month.
    """

    __tablename__ = "usage_buckets"
    __table_args__ = ({"postgresql_partition_by": "RANGE (hour)"},)

    series_id: Mapped[SeriesId] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    hour: Mapped[datetime] = mapped_column(primary_key=True)
    event_count: Mapped[int]
    total: Mapped[Decimal] = mapped_column(Numeric)
    highest: Mapped[Decimal] = mapped_column(Numeric)
    first_at: Mapped[datetime | None]
    last_at: Mapped[datetime | None]
    last_value: Mapped[Decimal | None] = mapped_column(Numeric)
    weighted: Mapped[Decimal | None] = mapped_column(Numeric)


class UsageDistinctValue(Base):
    """One label a series counted in one hour, and how often: a void may take the last one away."""

    __tablename__ = "usage_distinct_values"

    series_id: Mapped[SeriesId] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    hour: Mapped[datetime] = mapped_column(primary_key=True)
    value: Mapped[str] = mapped_column(primary_key=True)
    event_count: Mapped[int]


class UsageVoid(Base):
    """One reading of an event that is counted no longer, and why.

    The event's identity stays used and its readings stay stored; `key` is that identity.
    """

    __tablename__ = "usage_voids"

    series_id: Mapped[SeriesId] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    hour: Mapped[datetime] = mapped_column(primary_key=True)
    source: Mapped[str] = mapped_column(primary_key=True)
    external_id: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[UUID] = mapped_column(index=True)
    reason: Mapped[str]
    actor: Mapped[str]
    recorded_at: Mapped[datetime]


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


class UsageArchivedMonth(Base):
    """A UTC month whose chunks are detached: in a table apart, in a file, or both.

    Its identities and buckets stay. How much was detached is what must come back.
    """

    __tablename__ = "usage_archived_months"

    month: Mapped[date] = mapped_column(primary_key=True)
    chunks: Mapped[int]
    readings: Mapped[int]
    archived_at: Mapped[datetime]
