"""Voiding usage: what is asked, and what became of it."""

from typing import Annotated, Self

import strawberry

from api.errors import Payload
from billing.usage.voids import REASON_CHARACTERS_MAX, Voiding, VoidRequest, VoidVerdict


@strawberry.input(description="The identity of an event that was recorded, as it was sent.")
class UsageIdentityInput:
    """Where it was counted, and when, is found by it."""

    subject: str = strawberry.field(description="The organization's key.")
    source: str = strawberry.field(description="The event's own source.")
    id: str = strawberry.field(description="The event's own id.")

    def as_request(self) -> VoidRequest:
        """For the domain."""
        return VoidRequest(self.subject, self.source, self.id)


@strawberry.input(description="Events to be counted no longer, and why.")
class VoidUsageInput:
    """Each event is judged by itself."""

    events: list[UsageIdentityInput] = strawberry.field(description="At most 1,000.")
    reason: str = strawberry.field(
        description=f"Kept with the events; at most {REASON_CHARACTERS_MAX} characters."
    )


@strawberry.interface(description="What became of the wish to void one event.")
class UsageVoidVerdict:
    """In the order the events were named."""

    subject: str = strawberry.field(description="As it was given.")
    source: str = strawberry.field(description="As it was given.")
    id: str = strawberry.field(description="As it was given.")


@strawberry.type(description="Counted no longer; its identity stays used.")
class UsageVoided(UsageVoidVerdict):
    """The next estimate is without it."""


@strawberry.type(description="Voided before.")
class UsageAlreadyVoided(UsageVoidVerdict):
    """Nothing to do."""


@strawberry.type(description="Not voided, and why.")
class UsageVoidRejected(UsageVoidVerdict):
    """What is counted has not changed."""

    code: str = strawberry.field(description="Stable, such as UNKNOWN_EVENT or TOO_OLD_TO_VOID.")
    message: str = strawberry.field(description="What is wrong and what to do about it.")
    field: str | None = strawberry.field(description="The part that is wrong; null for none.")
    did_you_mean: str | None = strawberry.field(
        description="What is near to what was sent; null for nothing."
    )


UsageVoidResult = Annotated[
    UsageVoided | UsageAlreadyVoided | UsageVoidRejected,
    strawberry.union("UsageVoidResult", description="What became of the wish to void one event."),
]


@strawberry.type(description="What became of the events that were to be voided.")
class VoidUsagePayload(Payload):
    """Asking again is always safe."""

    results: list[UsageVoidResult] = strawberry.field(
        default_factory=list, description="One for each event, in the same order."
    )
    voided: int = strawberry.field(default=0, description="How many were voided now.")
    already_voided: int = strawberry.field(default=0, description="How many were voided before.")
    rejected: int = strawberry.field(default=0, description="How many could not be voided.")

    @classmethod
    def of(cls, verdicts: list[VoidVerdict]) -> Self:
        """The domain's verdicts, shown and counted."""
        kinds = [verdict.verdict for verdict in verdicts]
        return cls(
            results=[_result(verdict) for verdict in verdicts],
            voided=kinds.count(Voiding.VOIDED),
            already_voided=kinds.count(Voiding.ALREADY_VOIDED),
            rejected=kinds.count(Voiding.REJECTED),
        )


def _result(verdict: VoidVerdict) -> UsageVoidResult:
    asked = verdict.request
    identity = {"subject": asked.subject, "source": asked.source, "id": asked.id}
    match verdict.verdict:
        case Voiding.VOIDED:
            return UsageVoided(**identity)
        case Voiding.ALREADY_VOIDED:
            return UsageAlreadyVoided(**identity)
        case Voiding.REJECTED:
            return UsageVoidRejected(
                **identity,
                code=verdict.code or "",
                message=verdict.message or "",
                field=verdict.field,
                did_you_mean=verdict.did_you_mean,
            )
