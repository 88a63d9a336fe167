"""What a line was counted from: its hours, and the events behind those."""

from datetime import datetime
from decimal import Decimal
from typing import Self

import strawberry
from graphql import GraphQLError

from api.connections import PAGE_SIZE_DEFAULT, After, Connection, First, Keyset, Page
from api.context import Info
from api.cost import priced
from api.scalars import JSONObject, exactly, instant_from, instant_text
from billing.explaining import Evidence, events_of, hours_of
from billing.usage import EventBehind, EventPosition, HourBehind, settle_usage

EXPLAIN_COST = 20
PAGE_COST = 20

HOURS = Keyset("hours", size=1)
EVENTS = Keyset("events", size=3)


@strawberry.type(description="One hour of what a line was counted from.")
class ExplainedHour:
    """Hours in which nothing was counted, nor held, are left out."""

    start: datetime = strawberry.field(description="When the hour starts.")
    quantity: Decimal = strawberry.field(
        description="By the meter's aggregation, in its unit: only sums, counts and unit-hours add"
        " up to the line's quantity."
    )
    event_count: int = strawberry.field(
        description="How many events counted; 0 where a value was only held."
    )

    @classmethod
    def of(cls, value: HourBehind) -> Self:
        """The domain's hour, shown."""
        return cls(
            start=value.hour, quantity=exactly(value.quantity), event_count=value.event_count
        )


@strawberry.type(description="One event that a line was counted from, as it was sent.")
class ExplainedEvent:
    """A voided one counts no longer, and is shown with the reason."""

    id: str = strawberry.field(description="Its own id, unique within its source.")
    source: str = strawberry.field(description="Who sent it.")
    occurred_at: datetime = strawberry.field(description="When it happened.")
    recorded_at: datetime = strawberry.field(description="When it came in.")
    quantity: Decimal = strawberry.field(
        description="What it added to the meter; 0 where labels are told apart."
    )
    label: str | None = strawberry.field(
        description="What a UNIQUE_COUNT tells apart by; null for other meters."
    )
    dimensions: JSONObject = strawberry.field(description="The meter's dimensions that it has.")
    is_voided: bool = strawberry.field(description="Whether it counts no longer.")
    void_reason: str | None = strawberry.field(description="Why; null when it counts.")

    @classmethod
    def of(cls, value: EventBehind) -> Self:
        """The domain's event, shown."""
        return cls(
            id=value.id,
            source=value.source,
            occurred_at=value.occurred_at,
            recorded_at=value.recorded_at,
            quantity=exactly(value.quantity),
            label=value.label,
            dimensions=JSONObject(value.dimensions),
            is_voided=value.is_voided,
            void_reason=value.void_reason,
        )


@strawberry.type(
    description="What a line was counted from: on the estimate as of its `asOf`, on an invoice as"
    " of its issue, so that what came later is not behind it."
)
class Explanation:
    """Of a correction: the whole corrected period."""

    evidence: strawberry.Private[Evidence]
    meter: str = strawberry.field(description="The slug of the meter that was counted.")
    unit: str = strawberry.field(description="What its quantities count.")

    @classmethod
    def of(cls, evidence: Evidence) -> Self:
        """The domain's evidence, shown."""
        return cls(evidence=evidence, meter=evidence.meter.slug, unit=evidence.meter.unit)

    @strawberry.field(description="Its hours, oldest first.", metadata=priced(PAGE_COST))
    async def hours(
        self, info: Info, first: First = PAGE_SIZE_DEFAULT, after: After = None
    ) -> Connection[ExplainedHour]:
        """Raises `Conflict` where events that are needed are archived."""
        page = Page.asked(first, after)
        last = None if after is None else _hour(after)
        async with info.context.reading() as session:
            await settle_usage(session, self.evidence.org.id)
            found = await hours_of(session, self.evidence, limit=page.limit, after=last)
        return page.connection(found.hours, ExplainedHour.of, _hour_cursor)

    @strawberry.field(
        description="Its events, oldest first, voided ones too.", metadata=priced(PAGE_COST)
    )
    async def events(
        self, info: Info, first: First = PAGE_SIZE_DEFAULT, after: After = None
    ) -> Connection[ExplainedEvent]:
        """Raises `Conflict` where some are archived."""
        page = Page.asked(first, after)
        last = None if after is None else _position(after)
        async with info.context.reading() as session:
            found = await events_of(session, self.evidence, limit=page.limit, after=last)
        return page.connection(found.events, ExplainedEvent.of, _event_cursor)


def _hour_cursor(hour: HourBehind) -> str:
    return HOURS.cursor(instant_text(hour.hour))


def _hour(cursor: str) -> datetime:
    return _instant(HOURS, HOURS.position(cursor)[0], cursor)


def _event_cursor(event: EventBehind) -> str:
    """Ids and sources may have any characters, cursors not."""
    at = event.position
    return EVENTS.cursor(
        instant_text(at.occurred_at), at.source.encode().hex(), at.id.encode().hex()
    )


def _position(cursor: str) -> EventPosition:
    at, source, external_id = EVENTS.position(cursor)
    try:
        names = bytes.fromhex(source).decode(), bytes.fromhex(external_id).decode()
    except ValueError:
        raise EVENTS.refusal(cursor) from None
    return EventPosition(_instant(EVENTS, at, cursor), *names)


def _instant(keyset: Keyset, text: str, cursor: str) -> datetime:
    try:
        return instant_from(text)
    except GraphQLError:
        raise keyset.refusal(cursor) from None
