"""What the organizations use: on time, late, twice, and some of it taken back."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random

from billing.accounts import COMMAND_LINE
from billing.models import Verdict
from billing.runtime import Runtime
from billing.usage import IncomingEvent, MalformedEvent, incoming_event, record_usage
from billing.usage.void_requests import VoidRequest
from billing.usage.voids import void_usage
from sandbox.verify.book import METERS
from sandbox.verify.people import Member

EVENTS_A_WEEK = 4
EVENTS_AT_ONCE = 1_000
VOIDS_AT_ONCE = 500
LATE, TWICE, MISTAKEN, STRAY = 0.05, 0.02, 0.01, 0.02
"""How many of the events come a week or more too late, come again, are voided, have no price."""
WEEK = timedelta(days=7)
_APPS, _REGIONS = ("web", "api", "jobs"), ("eu", "us", "asia")
_REASON = "A run of tests that was billed."


@dataclass(slots=True)
class Usage:
    """Makes a week's events at a time; keeps what comes late, and what is to be voided."""

    rng: Random
    late: list[IncomingEvent] = field(default_factory=list)
    mistakes: list[VoidRequest] = field(default_factory=list)
    events_sent: int = 0
    voided: int = 0

    async def send_week(
        self, runtime: Runtime, members: Sequence[Member], since: datetime, now: datetime
    ) -> None:
        """Everything of a week; what is late comes in the next ones, and goes first."""
        ready, self.late = self.late[:], []
        fresh = [self._event(member, since) for member in members for _ in range(EVENTS_A_WEEK)]
        for event in fresh:
            (self.late if self.rng.random() < LATE else ready).append(event)
        ready += [event for event in ready if self.rng.random() < TWICE]
        for start in range(0, len(ready), EVENTS_AT_ONCE):
            batch = ready[start : start + EVENTS_AT_ONCE]
            verdicts = await record_usage(runtime, batch, viewer=COMMAND_LINE, now=now)
            refused = [x for x in verdicts if x.verdict is Verdict.REJECTED]
            assert not refused, refused[:3]
        self.events_sent += len(ready)
        self.mistakes += [
            VoidRequest(x.subject, x.source, x.id) for x in ready if self.rng.random() < MISTAKEN
        ]

    async def void_some(self, runtime: Runtime, now: datetime) -> None:
        """About a half of what is known to be a mistake: the rest waits another week."""
        self.rng.shuffle(self.mistakes)
        half = len(self.mistakes) // 2
        now_voided, self.mistakes = self.mistakes[:half], self.mistakes[half:]
        for start in range(0, len(now_voided), VOIDS_AT_ONCE):
            wanted = now_voided[start : start + VOIDS_AT_ONCE]
            await void_usage(runtime, wanted, reason=_REASON, viewer=COMMAND_LINE, now=now)
        self.voided += len(now_voided)

    def _event(self, member: Member, since: datetime) -> IncomingEvent:
        slug = self._meter(member)
        event_type, value, _ = METERS[slug]
        at = since + WEEK * self.rng.random()
        if self.rng.random() < 0.1:
            at = at.replace(hour=0, minute=0, second=0, microsecond=0)  # the very edge of a day
        data: dict[str, object] = {"region": self.rng.choice(_REGIONS)}
        if self.rng.random() < 0.9:
            data["app"] = self.rng.choice(_APPS)
        if value:
            data[value] = self._value(slug)
        event = incoming_event(
            id=f"{self.rng.getrandbits(64):x}",
            source=self.rng.choice(["proxy-1", "proxy-2"]),
            type=event_type,
            subject=member.key,
            time=max(at, since),
            data=data,
        )
        assert not isinstance(event, MalformedEvent), event
        return event

    def _meter(self, member: Member) -> str:
        """Mostly one that its plans price: usage without a price holds an invoice."""
        *shared, extra = METERS
        is_priced = member.has_extra or self.rng.random() < STRAY
        return self.rng.choice([*shared, extra] if is_priced else shared)

    def _value(self, slug: str) -> str:
        if slug == "users":
            return f"user-{self.rng.randrange(9)}"
        if slug in {"peak", "seats", "storage"}:
            return str(self.rng.randrange(40))
        return f"{self.rng.randrange(400_000)}e-3"
