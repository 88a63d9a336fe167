"""A well-formed event of a known organization, and what becomes of it once its turn comes."""

from dataclasses import dataclass
from datetime import datetime

from billing.errors import BillingError
from billing.ids import EventId, OrgId
from billing.models import Verdict
from billing.usage.declared import Body, EventType, Reading
from billing.usage.events import EventVerdict, IncomingEvent, MalformedEvent
from billing.usage.fingerprints import fingerprint, is_body_of

Identity = tuple[OrgId, str, str]
"""(organization, source, id): what is counted once."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has an identity: an event recorded before (`place` -1), or one of this batch."""

    place: int
    fingerprint: bytes
    given_time: datetime | None


@dataclass(frozen=True, slots=True)
class Candidate:
    """Counted as `readings`, unless it is refused or its identity is somebody else's.

    `place` is its position in the batch: of equal ones the first is counted.
    """

    place: int
    event: IncomingEvent
    event_id: EventId
    org_id: OrgId
    event_type: EventType
    body: Body
    occurred_at: datetime
    readings: tuple[Reading, ...]
    refusal: BillingError | None

    @property
    def identity(self) -> Identity:
        """What it is counted once by."""
        return self.org_id, self.event.source, self.event.id

    def as_holder(self) -> Holder:
        """What a resend of it will be compared with."""
        return Holder(self.place, fingerprint(self.event_type, self.body), self.event.time)

    def verdict(self, holder: Holder | None) -> EventVerdict:
        """What becomes of it, given who holds its identity in the end."""
        if holder is None or holder.place > self.place:
            assert self.refusal is not None, "whatever is not refused claims its identity"
            return rejected(self.event, self.refusal)
        if holder.place == self.place:
            return EventVerdict(Verdict.ACCEPTED, self.event.id, self.event.source)
        if self._is_resend_of(holder):
            return EventVerdict(Verdict.DUPLICATE, self.event.id, self.event.source)
        return EventVerdict(
            Verdict.CONFLICT,
            self.event.id,
            self.event.source,
            code="CONFLICT",
            message="Another event has this source and id: a new event needs a new id.",
            field="id",
        )

    def _is_resend_of(self, holder: Holder) -> bool:
        """Instants are compared only when both events gave one."""
        instants = {self.event.time, holder.given_time} - {None}
        return len(instants) < 2 and is_body_of(holder.fingerprint, self.event_type, self.body)


def rejected(event: IncomingEvent | MalformedEvent, error: BillingError) -> EventVerdict:
    """The refusal, in the words for the sender."""
    return EventVerdict(
        Verdict.REJECTED,
        event.id,
        event.source,
        error.code,
        str(error),
        error.field,
        getattr(error, "did_you_mean", None),
    )
