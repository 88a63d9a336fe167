"""Recording usage."""

from datetime import datetime
from typing import Annotated, Self

import strawberry

from api.context import Info
from api.errors import Payload, RefusalsAsData
from api.mutations.voids import VoidUsageInput, VoidUsagePayload
from api.scalars import JSONObject
from billing.errors import Invalid
from billing.models import Verdict
from billing.usage import EventVerdict, incoming_event, record_usage
from billing.usage.voids import void_usage

EVENTS_MAX = 1_000


@strawberry.input(description="One usage event (CloudEvents 1.0).")
class UsageEventInput:
    """Its identity is (organization, source, id), whatever its time."""

    id: str = strawberry.field(description="Unique within the source: a resend is counted once.")
    source: str = strawberry.field(description="Who sends it, such as phoenix/eu-1.")
    type: str = strawberry.field(description="What happened; meters count by it.")
    subject: str = strawberry.field(description="The organization's key.")
    time: datetime | None = strawberry.field(
        default=None, description="When it happened; when it is received if left out."
    )
    data: JSONObject | None = strawberry.field(
        default=None, description="Values and dimensions, by the meters' names for them."
    )


@strawberry.input(description="A batch of usage events.")
class RecordUsageInput:
    """Each event is judged by itself."""

    events: list[UsageEventInput] = strawberry.field(
        description=f"At most {EVENTS_MAX:,}; `POST /api/v1/events` takes more."
    )


@strawberry.interface(description="What became of one event.")
class UsageEventVerdict:
    """In the order the events were sent."""

    id: str = strawberry.field(description="The event's own id.")
    source: str = strawberry.field(description="The event's own source.")


@strawberry.type(description="Counted, and durable.")
class UsageAccepted(UsageEventVerdict):
    """It is in the next estimate."""


@strawberry.type(description="Counted before: the same event was sent again.")
class UsageDuplicate(UsageEventVerdict):
    """Nothing to do."""


@strawberry.type(description="Not counted: its identity was used for a different event.")
class UsageConflict(UsageEventVerdict):
    """The first one stays counted."""

    code: str = strawberry.field(description="Stable, for programs.")
    message: str = strawberry.field(description="For people.")


@strawberry.type(description="Not counted, and why; kept for 30 days to be replayed once mended.")
class UsageRejected(UsageEventVerdict):
    """Mend it and send it again."""

    code: str = strawberry.field(description="Stable, such as UNKNOWN_METER or TIME_TOO_OLD.")
    message: str = strawberry.field(description="What is wrong and what to do about it.")
    field: str | None = strawberry.field(description="The part that is wrong; null for none.")
    did_you_mean: str | None = strawberry.field(
        description="What is near to what was sent; null for nothing."
    )


UsageEventResult = Annotated[
    UsageAccepted | UsageDuplicate | UsageConflict | UsageRejected,
    strawberry.union("UsageEventResult", description="What became of one event."),
]


@strawberry.type(description="What became of a batch.")
class RecordUsagePayload(Payload):
    """Sending the same batch again is always safe."""

    results: list[UsageEventResult] = strawberry.field(
        default_factory=list, description="One for each event, in the same order."
    )
    accepted: int = strawberry.field(default=0, description="How many were counted now.")
    duplicates: int = strawberry.field(default=0, description="How many were counted before.")
    conflicts: int = strawberry.field(default=0, description="How many contradict an earlier one.")
    rejected: int = strawberry.field(default=0, description="How many could not be counted.")

    @classmethod
    def of(cls, verdicts: list[EventVerdict]) -> Self:
        """The domain's verdicts, shown and counted."""
        kinds = [verdict.verdict for verdict in verdicts]
        return cls(
            results=[_result(verdict) for verdict in verdicts],
            accepted=kinds.count(Verdict.ACCEPTED),
            duplicates=kinds.count(Verdict.DUPLICATE),
            conflicts=kinds.count(Verdict.CONFLICT),
            rejected=kinds.count(Verdict.REJECTED),
        )


def _result(verdict: EventVerdict) -> UsageEventResult:
    event_id, source = verdict.id or "", verdict.source or ""
    code, message = verdict.code or "", verdict.message or ""
    match verdict.verdict:
        case Verdict.ACCEPTED:
            return UsageAccepted(id=event_id, source=source)
        case Verdict.DUPLICATE:
            return UsageDuplicate(id=event_id, source=source)
        case Verdict.CONFLICT:
            return UsageConflict(id=event_id, source=source, code=code, message=message)
        case Verdict.REJECTED:
            return UsageRejected(
                id=event_id,
                source=source,
                code=code,
                message=message,
                field=verdict.field,
                did_you_mean=verdict.did_you_mean,
            )


@strawberry.type
class UsageMutations:
    """Needs the scope usage:write."""

    @strawberry.mutation(
        description=f"Record up to {EVENTS_MAX:,} usage events; resending is always safe."
        " Needs usage:write.",
        extensions=[RefusalsAsData(RecordUsagePayload)],
    )
    async def record_usage(self, info: Info, input: RecordUsageInput) -> RecordUsagePayload:
        """Each event gets a verdict of its own; the others are counted."""
        _check_count(len(input.events))
        events = [
            incoming_event(
                id=event.id,
                source=event.source,
                type=event.type,
                subject=event.subject,
                time=event.time,
                data=event.data,
            )
            for event in input.events
        ]
        context = info.context
        return RecordUsagePayload.of(
            await record_usage(context.runtime, events, viewer=context.viewer, now=context.now)
        )

    @strawberry.mutation(
        description=f"Count up to {EVENTS_MAX:,} events no longer; asking again is always safe."
        " Needs usage:write, and staff for events of more than 34 days ago.",
        extensions=[RefusalsAsData(VoidUsagePayload)],
    )
    async def void_usage(self, info: Info, input: VoidUsageInput) -> VoidUsagePayload:
        """A booking, never a delete: the events stay, with the reason, and their ids stay used."""
        _check_count(len(input.events))
        context = info.context
        verdicts = await void_usage(
            context.runtime,
            [event.as_request() for event in input.events],
            reason=input.reason,
            viewer=context.viewer,
            now=context.now,
        )
        return VoidUsagePayload.of(verdicts)


def _check_count(count: int) -> None:
    if count > EVENTS_MAX:
        raise Invalid(
            f"{count} events were sent; {EVENTS_MAX} are allowed in one request.",
            code="TOO_MANY_EVENTS",
            field="events",
        )
