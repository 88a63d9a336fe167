"""What staff did, to what, and when: written with the act, in its transaction."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from billing.ids import OrgId, new_id
from billing.models.base import Base, Json


class AuditEntry(Base):
    """One act. `actor` reads as a person, a key or the command line; `details` hold no secrets."""

    __tablename__ = "audit_entries"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    at: Mapped[datetime] = mapped_column(index=True)
    actor: Mapped[str]
    action: Mapped[str]
    subject: Mapped[str]
    org_id: Mapped[OrgId | None] = mapped_column(ForeignKey("organizations.id"), index=True)
    details: Mapped[Json]
