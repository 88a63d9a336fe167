"""What is sold: meters, plans, prices and their versions, and who is on which plan."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from billing.ids import (
    MeterId,
    OrgId,
    OverrideId,
    PlanId,
    PriceId,
    PriceVersionId,
    SubscriptionId,
    new_id,
)
from billing.models.base import Base, Json
from billing.rules.aggregation import Aggregation, MeterTerms
from billing.rules.money import Currency


class Meter(Base):
    """What we count, and how. `dimensions` maps each dimension's name to its key in the data."""

    __tablename__ = "meters"

    id: Mapped[MeterId] = mapped_column(primary_key=True, default=new_id)
    slug: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    unit: Mapped[str]
    event_type: Mapped[str] = mapped_column(index=True)
    value_property: Mapped[str | None]
    aggregation: Mapped[Aggregation]
    dimensions: Mapped[Json]
    recorded_at: Mapped[datetime]

    @property
    def terms(self) -> MeterTerms:
        """The meter as the rules know it."""
        return MeterTerms(self.slug, self.name, self.unit, self.aggregation)


class Plan(Base):
    """A named set of prices."""

    __tablename__ = "plans"

    id: Mapped[PlanId] = mapped_column(primary_key=True, default=new_id)
    slug: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    recorded_at: Mapped[datetime]

    prices: Mapped[list["Price"]] = relationship(lazy="raise", order_by="Price.position")


class Price(Base):
    """What a plan asks for one meter (filtered by dimensions) or as a fee, in one currency.

    What it costs is in its versions. `filters` maps a dimension to the list of values it takes.
    """

    __tablename__ = "prices"
    __table_args__ = (UniqueConstraint("plan_id", "slug", "currency"),)

    id: Mapped[PriceId] = mapped_column(primary_key=True, default=new_id)
    plan_id: Mapped[PlanId] = mapped_column(ForeignKey("plans.id"))
    position: Mapped[int]
    slug: Mapped[str]
    name: Mapped[str]
    currency: Mapped[Currency]
    meter_id: Mapped[MeterId | None] = mapped_column(ForeignKey("meters.id"), index=True)
    filters: Mapped[Json]
    recorded_at: Mapped[datetime]

    versions: Mapped[list["PriceVersion"]] = relationship(
        lazy="raise", order_by="PriceVersion.effective_from"
    )


class PriceVersion(Base):
    """Terms in force from `effective_from` until the next version. Never edited.

    `terms` keeps every figure as text; `catalog.terms_of` says what it means.
    """

    __tablename__ = "price_versions"
    __table_args__ = (
        UniqueConstraint("price_id", "number"),
        UniqueConstraint("price_id", "effective_from"),
    )

    id: Mapped[PriceVersionId] = mapped_column(primary_key=True, default=new_id)
    price_id: Mapped[PriceId] = mapped_column(ForeignKey("prices.id"))
    number: Mapped[int]
    effective_from: Mapped[datetime]
    terms: Mapped[Json]
    recorded_at: Mapped[datetime]


class Subscription(Base):
    """An organization on a plan, from one whole UTC hour until another (None: still on it).

    Fees are waived until `trial_ends_at`. `replaces_id` is the subscription that a change of plan
    ended for this one. `ended_at` is when `ends_at` was decided, so that the past can be asked for.
    """

    __tablename__ = "subscriptions"
    __table_args__ = (
        CheckConstraint("ends_at IS NULL OR starts_at < ends_at", name="period_ordered"),
        Index("ix_subscriptions_org_id_starts_at", "org_id", "starts_at"),
    )

    id: Mapped[SubscriptionId] = mapped_column(primary_key=True, default=new_id)
    org_id: Mapped[OrgId] = mapped_column(ForeignKey("organizations.id"))
    plan_id: Mapped[PlanId] = mapped_column(ForeignKey("plans.id"))
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime | None]
    trial_ends_at: Mapped[datetime | None]
    replaces_id: Mapped[SubscriptionId | None] = mapped_column(ForeignKey("subscriptions.id"))
    ended_at: Mapped[datetime | None]
    recorded_at: Mapped[datetime]


class SupersededSubscription(Base):
    """What a subscription was known as, from one decision until another took it back.

    An end that was put off or taken back, or a change of plan that never began: charges as of an
    instant between the two must still know it. The subscription itself may be gone.
    """

    __tablename__ = "superseded_subscriptions"
    __table_args__ = (Index("ix_superseded_subscriptions_org_id", "org_id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    subscription_id: Mapped[SubscriptionId]
    org_id: Mapped[OrgId] = mapped_column(ForeignKey("organizations.id"))
    plan_id: Mapped[PlanId] = mapped_column(ForeignKey("plans.id"))
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime | None]
    trial_ends_at: Mapped[datetime | None]
    replaces_id: Mapped[SubscriptionId | None]
    known_from: Mapped[datetime]
    known_until: Mapped[datetime]


class PriceOverride(Base):
    """Other terms of one price for one organization, from a whole UTC hour until another.

    Never edited: another override takes over from `effective_from` on. Without terms the plan's
    own hold again.
    """

    __tablename__ = "price_overrides"
    __table_args__ = (
        UniqueConstraint("org_id", "price_id", "number"),
        UniqueConstraint("org_id", "price_id", "effective_from"),
    )

    id: Mapped[OverrideId] = mapped_column(primary_key=True, default=new_id)
    org_id: Mapped[OrgId] = mapped_column(ForeignKey("organizations.id"))
    price_id: Mapped[PriceId] = mapped_column(ForeignKey("prices.id"))
    number: Mapped[int]
    effective_from: Mapped[datetime]
    terms: Mapped[Json | None]
    reason: Mapped[str]
    recorded_at: Mapped[datetime]
