"""Who: organizations, the people in them, and the keys other apps use."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, ForeignKey, Text, UniqueConstraint
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from billing.ids import ApiKeyId, OrgId, StripeCustomerId, UserId, new_id
from billing.models.base import Base
from billing.rules.money import Currency


class Role(StrEnum):
    """What a person may do in one organization."""

    OWNER = "OWNER"
    BILLING = "BILLING"
    MEMBER = "MEMBER"
    READONLY = "READONLY"


class Scope(StrEnum):
    """What an API key may do."""

    USAGE_WRITE = "usage:write"
    USAGE_READ = "usage:read"
    BILLING_READ = "billing:read"
    BILLING_WRITE = "billing:write"
    ADMIN = "admin"


class Organization(Base):
    """Who is billed. `key` is what usage events name as their subject, and never changes.

    `open_period_end` ends the earliest period that has no invoice row yet: what the close sweeps.
    `subscription_changes` moves with every change of a subscription, so that a close which began
    before one cannot commit after it. From `closed_at`, a whole UTC hour, on nothing is billed.
    """

    __tablename__ = "organizations"
    __table_args__ = (
        CheckConstraint("anchor_day BETWEEN 1 AND 31", name="anchor_day_in_month"),
        CheckConstraint("invoice_sequence >= 0", name="sequence_not_negative"),
    )

    id: Mapped[OrgId] = mapped_column(primary_key=True, default=new_id)
    key: Mapped[str] = mapped_column(unique=True)
    slug: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    currency: Mapped[Currency]
    anchor_day: Mapped[int] = mapped_column(default=1)
    billing_email: Mapped[str]
    stripe_customer_id: Mapped[StripeCustomerId | None] = mapped_column(unique=True)
    invoice_prefix: Mapped[str] = mapped_column(unique=True)
    invoice_sequence: Mapped[int] = mapped_column(default=0)
    opened_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]
    open_period_end: Mapped[datetime] = mapped_column(index=True)
    subscription_changes: Mapped[int] = mapped_column(default=0)
    recorded_at: Mapped[datetime]


class User(Base):
    """A person. `email` is stored in lower case; staff (`is_ops`) may see every organization."""

    __tablename__ = "users"

    id: Mapped[UserId] = mapped_column(primary_key=True, default=new_id)
    email: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    password_hash: Mapped[str | None]
    is_ops: Mapped[bool] = mapped_column(default=False)
    recorded_at: Mapped[datetime]


class Membership(Base):
    """One person's role in one organization."""

    __tablename__ = "memberships"

    org_id: Mapped[OrgId] = mapped_column(ForeignKey("organizations.id"), primary_key=True)
    user_id: Mapped[UserId] = mapped_column(ForeignKey("users.id"), primary_key=True, index=True)
    role: Mapped[Role]
    recorded_at: Mapped[datetime]


class WebSession(Base):
    """A signed-in browser. Only the SHA-256 of its token is kept."""

    __tablename__ = "web_sessions"

    token_sha256: Mapped[bytes] = mapped_column(primary_key=True)
    user_id: Mapped[UserId] = mapped_column(ForeignKey("users.id"), index=True)
    expires_at: Mapped[datetime]
    recorded_at: Mapped[datetime]


class ApiKey(Base):
    """A key of 256 random bits, of which only the SHA-256 is kept; `hint` is its shown beginning.

    Without an organization it is the platform's own and may speak for all of them.
    """

    __tablename__ = "api_keys"
    __table_args__ = (UniqueConstraint("sha256"),)

    id: Mapped[ApiKeyId] = mapped_column(primary_key=True, default=new_id)
    name: Mapped[str]
    hint: Mapped[str]
    sha256: Mapped[bytes]
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text()))
    org_id: Mapped[OrgId | None] = mapped_column(ForeignKey("organizations.id"), index=True)
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    recorded_at: Mapped[datetime]
