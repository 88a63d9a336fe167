"""What staff did: each act leaves a row, written in the transaction that did it."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from billing.ids import OrgId
from billing.models import AuditEntry
from billing.models.base import Json


async def record_act(  # noqa: PLR0913 - an act has this many facts
    session: AsyncSession,
    *,
    actor: str,
    action: str,
    subject: str,
    now: datetime,
    org_id: OrgId | None = None,
    details: Json | None = None,
) -> None:
    """Leave a row with the act. `details` are kept for ever: no secrets, no passwords."""
    session.add(
        AuditEntry(
            at=now,
            actor=actor,
            action=action,
            subject=subject,
            org_id=org_id,
            details=details or {},
        )
    )
