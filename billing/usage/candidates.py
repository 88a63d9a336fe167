"""A well-formed event of a known organization, and what becomes of it once its turn comes."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from billing.errors import BillingError
from billing.models import Verdict
from billing.usage.declared import EventType, Reading
from billing.usage.desk import KnownOrganization
from billing.usage.events import EventVerdict, IncomingEvent, MalformedEvent
from billing.usage.fingerprints import is_body_of

BEFORE = -1
"""The place of whatever was recorded before this batch."""


class Holder(msgspec.Struct, frozen=True, gc=False):
    """Who has an identity: an event recorded before. A candidate of this batch is one itself."""

    place: int
    fingerprint: int
    given_time: datetime | None


class Candidate(msgspec.Struct, frozen=True, gc=False):
    """Counted as `readings`, unless it is refused or its identity is somebody else's.

    `place` is its position in the batch: of equal ones the first is counted. `key` is its
    identity (organization, source, id) as 16 bytes.
    """

    place: int
    key: bytes
    event: IncomingEvent
    organization: KnownOrganization
    event_type: EventType
    fingerprint: int
    occurred_at: datetime
    readings: Sequence[Reading]
    refusal: BillingError | None

    @property
    def given_time(self) -> datetime | None:
        """The event's own instant, if it gave one."""
        return self.event.time

    def refused_for(self, error: BillingError) -> "Candidate":
        """The same, not to be counted, unless it is refused already."""
        return self if self.refusal else msgspec.structs.replace(self, refusal=error)

    def verdict(self, holder: "Holder | Candidate | None") -> EventVerdict:
        """What becomes of it, given who holds its identity in the end."""
        event = self.event
        if holder is self:
            return EventVerdict(Verdict.ACCEPTED, event.id, event.source)
        if holder is None or holder.place > self.place:
            assert self.refusal is not None, "whatever is not refused claims its identity"
            return rejected(event, self.refusal)
        if self._is_resend_of(holder):
            return EventVerdict(Verdict.DUPLICATE, event.id, event.source)
        return EventVerdict(
            Verdict.CONFLICT,
            event.id,
            event.source,
            code="CONFLICT",
            message="Another event has this source and id: a new event needs a new id.",
            field="id",
        )

    def _is_resend_of(self, holder: "Holder | Candidate") -> bool:
        """Instants are compared only when both events gave one."""
        instants = {self.event.time, holder.given_time} - {None}
        return len(instants) < 2 and is_body_of(
            holder.fingerprint, self.event_type, self.event.data
        )


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
