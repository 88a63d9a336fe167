"""What a batch is judged by, read once for all of it: organizations and event types."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from billing.accounts import Viewer, organizations_by_key
from billing.catalog import meters
from billing.errors import Forbidden
from billing.ids import OrgId
from billing.models import Meter, Organization, Scope
from billing.usage.declared import EventType
from billing.usage.suggestions import near_event_types, near_organizations


@dataclass(frozen=True, slots=True)
class Directory:
    """The batch's organizations by key: those the viewer may record usage for, and may not.

    `near_…` are what an unknown name may have meant.
    """

    organizations: Mapping[str, OrgId]
    forbidden: Mapping[str, Forbidden]
    event_types: Mapping[str, EventType]
    near_organizations: Mapping[str, str]
    near_event_types: Mapping[str, str]


async def read_directory(
    session: AsyncSession, viewer: Viewer, subjects: Collection[str], types: Collection[str]
) -> Directory:
    """Look up every subject and type of a batch. What the viewer may not know of is not found."""
    found = await organizations_by_key(session, subjects)
    known = {key: org for key, org in found.items() if viewer.knows(org.id)}
    forbidden = _forbidden(known, viewer)
    event_types = await _event_types(session)
    return Directory(
        {key: org.id for key, org in known.items() if key not in forbidden},
        forbidden,
        event_types,
        await near_organizations(session, viewer, set(subjects) - set(known)),
        near_event_types(set(types) - set(event_types), event_types),
    )


def _forbidden(known: Mapping[str, Organization], viewer: Viewer) -> dict[str, Forbidden]:
    forbidden: dict[str, Forbidden] = {}
    for key, org in known.items():
        try:
            viewer.require(Scope.USAGE_WRITE, org.id)
        except Forbidden as error:
            forbidden[key] = error
    return forbidden


async def _event_types(session: AsyncSession) -> dict[str, EventType]:
    """Meters by the order of their ids, which is that of their creation."""
    by_type: dict[str, list[Meter]] = {}
    for meter in sorted(await meters(session), key=lambda meter: meter.id):
        by_type.setdefault(meter.event_type, []).append(meter)
    return {name: EventType(name, tuple(group)) for name, group in by_type.items()}
