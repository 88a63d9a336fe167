"""What is asked to be voided: the shape of a request, and whose event it means."""

from collections.abc import Sequence
from enum import StrEnum
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from billing.accounts import Viewer
from billing.errors import BillingError, Invalid
from billing.usage.desk import Desk, KnownOrganization
from billing.usage.events import MalformedEvent
from billing.usage.fingerprints import identity_key
from billing.usage.intake import Sender, UnknownName
from billing.usage.shapes import incoming_event
from billing.usage.suggestions import near_organizations


class Voiding(StrEnum):
    """What became of one wish to void an event."""

    VOIDED = "VOIDED"
    ALREADY_VOIDED = "ALREADY_VOIDED"
    REJECTED = "REJECTED"


class VoidRequest(msgspec.Struct, frozen=True):
    """The identity of an event, with its organization by key."""

    subject: str
    source: str
    id: str


class VoidVerdict(msgspec.Struct, frozen=True):
    """What became of one request; `code`, `message` and `field` say why it was rejected."""

    verdict: Voiding
    request: VoidRequest
    code: str | None = None
    message: str | None = None
    field: str | None = None
    did_you_mean: str | None = None


class Target(msgspec.Struct, frozen=True):
    """A request whose organization is known and open to the viewer; `place` is its position."""

    place: int
    request: VoidRequest
    org: KnownOrganization
    key: UUID


async def addressed(
    session: AsyncSession, desk: Desk, wanted: Sequence[VoidRequest], viewer: Viewer
) -> list[Target | VoidVerdict]:
    """Whose events they are, as far as the viewer may know and write."""
    malformed = {
        place: error for place, one in enumerate(wanted) if (error := _shape_error(one)) is not None
    }
    subjects = {one.subject for place, one in enumerate(wanted) if place not in malformed}
    await desk.look_up(session, subjects)
    sender = Sender(viewer, viewer.org_id)
    unknown = {key for key in subjects if not sender.sees(desk.organizations.get(key))}
    sender.near_organizations.update(await near_organizations(session, viewer, unknown))
    return [
        rejected(one, malformed[place])
        if place in malformed
        else _target(place, one, desk.organizations.get(one.subject), sender)
        for place, one in enumerate(wanted)
    ]


def _shape_error(request: VoidRequest) -> Invalid | None:
    """What no recorded event can be called: the parts of an identity are those of an event."""
    event = incoming_event(
        id=request.id,
        source=request.source,
        type="void",
        subject=request.subject,
        time=None,
        data=None,
    )
    return event.error if isinstance(event, MalformedEvent) else None


def _target(
    place: int, request: VoidRequest, org: KnownOrganization | None, sender: Sender
) -> Target | VoidVerdict:
    try:
        if org is None or not sender.sees(org):
            raise _unknown_organization(request, sender)
        sender.require(org)
    except BillingError as error:
        return rejected(request, error)
    key = UUID(bytes=identity_key(org.id, request.source, request.id))
    return Target(place, request, org, key)


def _unknown_organization(request: VoidRequest, sender: Sender) -> UnknownName:
    return UnknownName(
        f"No organization has the key {request.subject!r}.",
        "UNKNOWN_ORGANIZATION",
        "subject",
        sender.near_organizations.get(request.subject),
    )


def rejected(request: VoidRequest, error: BillingError) -> VoidVerdict:
    """The refusal, in the words for the sender."""
    return VoidVerdict(
        Voiding.REJECTED,
        request,
        error.code,
        str(error),
        error.field,
        getattr(error, "did_you_mean", None),
    )
