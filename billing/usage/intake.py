"""The checks of one event, in this order: shape, organization, identity, time limits, meter.

Pure: whatever they need was read before, for the whole batch.

Identity is the database's to decide, so what time and meter say is only noted here. It counts when
the identity turns out to be free: the resend of an event grown too old still is a `DUPLICATE`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import msgspec

from billing.accounts import Viewer
from billing.errors import BillingError, Forbidden, Invalid, NotFound
from billing.ids import OrgId
from billing.models import Scope
from billing.usage.candidates import Candidate, rejected
from billing.usage.declared import EventType, Reading
from billing.usage.desk import Desk, KnownOrganization
from billing.usage.events import EventVerdict, IncomingEvent, MalformedEvent
from billing.usage.fingerprints import fingerprint, identity_key_of

AHEAD_MAX = timedelta(minutes=5)
AGE_MAX = timedelta(days=34)


class UnknownName(NotFound):
    """Nothing has this name, or the viewer may not know that something has."""

    def __init__(self, message: str, code: str, field: str, did_you_mean: str | None) -> None:
        super().__init__(message, code=code, field=field)
        self.did_you_mean = did_you_mean


@dataclass(slots=True)
class Sender:
    """Whoever sent some events, and the one organization they are bound to, if any.

    `near_organizations` is what an unknown key may have meant, among those the viewer may see.
    """

    viewer: Viewer
    bound_to: OrgId | None
    near_organizations: dict[str, str] = field(default_factory=dict)
    _answers: dict[KnownOrganization, Forbidden | bool] = field(default_factory=dict)
    may_write_all: bool = field(init=False)
    """Whether nothing is to be decided, whoever the organization is."""

    def __post_init__(self) -> None:
        """Nearly everything comes from a platform's own key, for which nothing is to be decided."""
        viewer = self.viewer
        is_unbound = self.bound_to is None and viewer.sees_all
        self.may_write_all = is_unbound and (viewer.is_staff or Scope.USAGE_WRITE in viewer.scopes)

    def unseen(self, keys: set[str], known: Mapping[str, KnownOrganization]) -> set[str]:
        """Those of the keys that name nobody, as far as they may know."""
        if self.may_write_all:
            return {key for key in keys if key not in known}
        return {key for key in keys if not self.sees(known.get(key))}

    def sees(self, org: KnownOrganization | None) -> bool:
        """Whether they may know that there is such an organization; each is decided once."""
        if org is None:
            return False
        if self.may_write_all:
            return True
        if org not in self._answers:
            self._answers[org] = self._decide(org.id)
        return self._answers[org] is not False

    def may_write(self, org: KnownOrganization) -> bool:
        """Whether nothing speaks against recording usage of this one."""
        return self.may_write_all or (self.sees(org) and self._answers[org] is True)

    def require(self, org: KnownOrganization) -> None:
        """Raise `Forbidden` unless they may record usage of one they see."""
        answer = self.may_write_all or self._answers[org]
        if isinstance(answer, Forbidden):
            raise answer

    def _decide(self, org_id: OrgId) -> Forbidden | bool:
        if self.bound_to not in {None, org_id} or not self.viewer.knows(org_id):
            return False
        try:
            self.viewer.require(Scope.USAGE_WRITE, org_id)
        except Forbidden as error:
            return error
        return True


class Submission(msgspec.Struct, frozen=True, gc=False):
    """One event, when it was received, and from whom."""

    event: IncomingEvent | MalformedEvent
    received_at: datetime
    sender: Sender


def judge(
    place: int, submission: Submission, desk: Desk, near_event_types: dict[str, str]
) -> Candidate | EventVerdict:
    """Refused already, or a candidate for its identity."""
    event = submission.event
    if isinstance(event, MalformedEvent):
        return rejected(event, event.error)
    org = desk.organizations.get(event.subject)
    try:
        if org is None or not submission.sender.sees(org):
            raise _unknown_organization(event, submission.sender)
        submission.sender.require(org)
    except BillingError as error:
        return rejected(event, error)
    event_type = desk.event_types.get(event.type) or EventType(event.type, ())
    body = event_type.body(event.data)
    readings: Sequence[Reading] = ()
    refusal: BillingError | None = None
    try:
        if event.time is not None:
            _check_time(event.time, submission.received_at, event_type)
        if not event_type.meters:
            raise _unknown_meter(event_type.name, near_event_types)
        readings = event_type.readings(body)
    except BillingError as error:
        refusal = error
    return Candidate(
        place,
        identity_key_of(org.id_bytes, event.source, event.id),
        event,
        org,
        event_type,
        fingerprint(event_type, body),
        event.time or submission.received_at,
        readings,
        refusal,
    )


def _unknown_organization(event: IncomingEvent, sender: Sender) -> UnknownName:
    return UnknownName(
        f"No organization has the key {event.subject!r}.",
        "UNKNOWN_ORGANIZATION",
        "subject",
        sender.near_organizations.get(event.subject),
    )


def _unknown_meter(name: str, near_event_types: dict[str, str]) -> UnknownName:
    return UnknownName(
        f"No meter counts events of type {name!r}.",
        "UNKNOWN_METER",
        "type",
        near_event_types.get(name),
    )


def _check_time(time: datetime, received_at: datetime, event_type: EventType) -> None:
    age = received_at - time
    if -AHEAD_MAX <= age <= AGE_MAX:
        return
    if age < -AHEAD_MAX:
        raise Invalid(
            "time is more than 5 minutes ahead of our clock.", code="TIME_IN_FUTURE", field="time"
        )
    if not event_type.holds_only:
        raise Invalid("time is more than 34 days ago.", code="TIME_TOO_OLD", field="time")
