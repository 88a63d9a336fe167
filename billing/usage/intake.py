"""The checks of one event, in this order: shape, organization, identity, time limits, meter.

Pure: whatever they need was read before, for the whole batch.

Identity is the database's to decide, so what time and meter say is only noted here. It counts when
the identity turns out to be free: the resend of an event grown too old still is a `DUPLICATE`.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from billing.errors import BillingError, Invalid, NotFound
from billing.ids import EventId, OrgId, new_id
from billing.usage.candidates import Candidate, rejected
from billing.usage.declared import GAUGES, Body, EventType, Reading
from billing.usage.directory import Directory
from billing.usage.events import EventVerdict, IncomingEvent, MalformedEvent

AHEAD_MAX = timedelta(minutes=5)
AGE_MAX = timedelta(days=34)


class UnknownName(NotFound):
    """Nothing has this name, or the viewer may not know that something has."""

    def __init__(self, message: str, code: str, field: str, did_you_mean: str | None) -> None:
        super().__init__(message, code=code, field=field)
        self.did_you_mean = did_you_mean


@dataclass(frozen=True, slots=True)
class Submission:
    """One event, when it was received, and the one organization its sender is bound to, if any."""

    event: IncomingEvent | MalformedEvent
    received_at: datetime
    bound_to: OrgId | None


def judge(place: int, submission: Submission, directory: Directory) -> Candidate | EventVerdict:
    """Refused already, or a candidate for its identity."""
    event = submission.event
    if isinstance(event, MalformedEvent):
        return rejected(event, event.error)
    try:
        org_id = _organization(event, submission.bound_to, directory)
    except BillingError as error:
        return rejected(event, error)
    event_type = directory.event_types.get(event.type, EventType(event.type, ()))
    body = event_type.body(event.data)
    readings: tuple[Reading, ...] = ()
    refusal: BillingError | None = None
    try:
        _check_time(event.time, submission.received_at, event_type, body)
        readings = _readings(event_type, body, directory)
    except BillingError as error:
        refusal = error
    return Candidate(
        place=place,
        event=event,
        event_id=EventId(new_id()),
        org_id=org_id,
        event_type=event_type,
        body=body,
        occurred_at=event.time or submission.received_at,
        readings=readings,
        refusal=refusal,
    )


def _organization(event: IncomingEvent, bound_to: OrgId | None, directory: Directory) -> OrgId:
    if forbidden := directory.forbidden.get(event.subject):
        raise forbidden
    org_id = directory.organizations.get(event.subject)
    if org_id is None or bound_to not in {None, org_id}:
        raise UnknownName(
            f"No organization has the key {event.subject!r}.",
            "UNKNOWN_ORGANIZATION",
            "subject",
            directory.near_organizations.get(event.subject),
        )
    return org_id


def _check_time(
    time: datetime | None, received_at: datetime, event_type: EventType, body: Body
) -> None:
    if time is None:
        return
    if time - received_at > AHEAD_MAX:
        raise Invalid(
            "time is more than 5 minutes ahead of our clock.", code="TIME_IN_FUTURE", field="time"
        )
    if received_at - time > AGE_MAX and not _is_for_gauges(event_type, body):
        raise Invalid("time is more than 34 days ago.", code="TIME_TOO_OLD", field="time")


def _is_for_gauges(event_type: EventType, body: Body) -> bool:
    fed = event_type.fed(body)
    return bool(fed) and all(meter.aggregation in GAUGES for meter in fed)


def _readings(event_type: EventType, body: Body, directory: Directory) -> tuple[Reading, ...]:
    if not event_type.meters:
        raise UnknownName(
            f"No meter counts events of type {event_type.name!r}.",
            "UNKNOWN_METER",
            "type",
            directory.near_event_types.get(event_type.name),
        )
    return tuple(event_type.readings(body))
