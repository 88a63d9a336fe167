"""Usage events that were refused, and why."""

from datetime import datetime
from typing import Self
from uuid import UUID

import strawberry

from api.connections import Connection, Keyset, Page
from api.context import Info
from api.nodes import global_id
from api.scalars import JSONObject, instant_text
from billing import models
from billing.ids import OrgId
from billing.models import Verdict
from billing.usage.quarantine import quarantine_of

strawberry.enum(Verdict, description="What becomes of a usage event.")

NEWEST_FIRST = Keyset("quarantine", size=2)


@strawberry.type(description="A usage event that was refused.")
class QuarantinedEvent:
    """Sent again and again it is one; replayed once its cause is mended."""

    id: strawberry.ID = strawberry.field(description="Opaque and stable.")
    verdict: Verdict = strawberry.field(description="REJECTED or CONFLICT.")
    code: str = strawberry.field(description="Why, for programs, such as UNKNOWN_METER.")
    message: str = strawberry.field(description="Why, for people.")
    event: JSONObject = strawberry.field(
        description="As it was sent, numbers as text; an `excerpt` of what could not be kept whole."
    )
    recorded_at: datetime = strawberry.field(description="When it first came in.")

    @classmethod
    def of(cls, row: models.QuarantinedEvent) -> Self:
        """A row, shown."""
        return cls(
            id=global_id("QuarantinedEvent", row.id),
            verdict=row.verdict,
            code=row.code,
            message=row.message,
            event=JSONObject(row.event),
            recorded_at=row.recorded_at,
        )


async def page_of_quarantine(info: Info, org_id: OrgId, page: Page) -> Connection[QuarantinedEvent]:
    """One organization's, newest first. Raises `Invalid` for a cursor that is none."""
    before = None if page.after is None else _position(page.after)
    async with info.context.reading() as session:
        rows = await quarantine_of(session, org_id, limit=page.limit, before=before)
    return page.connection(rows, QuarantinedEvent.of, _cursor)


def _cursor(row: models.QuarantinedEvent) -> str:
    return NEWEST_FIRST.cursor(instant_text(row.recorded_at), row.id.hex)


def _position(cursor: str) -> tuple[datetime, UUID]:
    recorded_at, row_id = NEWEST_FIRST.position(cursor)
    try:
        return datetime.fromisoformat(recorded_at), UUID(row_id)
    except ValueError:
        raise NEWEST_FIRST.refusal(cursor) from None
