"""What a batch is judged by, read once for all of it: organizations and event types."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Text, column, func, literal, select, union_all
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from billing.accounts import Viewer, organizations_by_key
from billing.catalog import meters
from billing.errors import BillingError, Forbidden
from billing.ids import OrgId
from billing.models import Meter, Organization, Scope
from billing.names import nearest
from billing.usage.declared import EventType

_SUGGESTIONS_MAX = 10
_SUGGESTED_CHARACTERS_MAX = 64
_NEIGHBOURS = 20


@dataclass(frozen=True, slots=True)
class Directory:
    """`organizations` are those of the batch that the viewer may record usage for, by key."""

    organizations: Mapping[str, OrgId]
    forbidden: Mapping[str, BillingError]
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
        await _near_organizations(session, viewer, set(subjects) - set(known)),
        _near({word: event_types for word in _asked(set(types) - set(event_types))}),
    )


def _forbidden(known: Mapping[str, Organization], viewer: Viewer) -> dict[str, BillingError]:
    forbidden: dict[str, BillingError] = {}
    for key, org in known.items():
        try:
            viewer.require(Scope.USAGE_WRITE, org.id)
        except Forbidden as error:
            forbidden[key] = error
    return forbidden


async def _event_types(session: AsyncSession) -> dict[str, EventType]:
    by_type: dict[str, list[Meter]] = {}
    for meter in sorted(await meters(session), key=lambda meter: (meter.recorded_at, meter.id)):
        by_type.setdefault(meter.event_type, []).append(meter)
    return {name: EventType(name, tuple(group)) for name, group in by_type.items()}


async def _near_organizations(
    session: AsyncSession, viewer: Viewer, unknown: Collection[str]
) -> dict[str, str]:
    """Only keys the viewer may see are ever suggested."""
    if not (asked := _asked(unknown)):
        return {}
    if viewer.sees_all:
        return _near(await _neighbours(session, asked))
    own = {viewer.org_id} if viewer.org_id else set(viewer.roles)
    keys = await session.scalars(select(Organization.key).where(Organization.id.in_(own)))
    visible = keys.all()
    return _near(dict.fromkeys(asked, visible))


async def _neighbours(session: AsyncSession, asked: Sequence[str]) -> dict[str, list[str]]:
    """The keys just before and after each, by the index: as many as a person would look at."""
    word = column("word", Text())
    words = func.unnest(literal(asked, ARRAY(Text()))).table_valued(word).render_derived("asked")
    key = Organization.key
    near = union_all(
        *(
            select(key).where(side).order_by(order).limit(_NEIGHBOURS).correlate(words)
            for side, order in (
                (key < words.c.word, key.desc()),
                (key > words.c.word, key.asc()),
            )
        )
    ).lateral("near")
    rows = await session.execute(select(words.c.word, near.c.key))
    found: dict[str, list[str]] = {}
    for asked_word, key_found in rows:
        found.setdefault(asked_word, []).append(key_found)
    return found


def _asked(unknown: Collection[str]) -> list[str]:
    """A few of them: comparing words is slow, and a sender learns from the first."""
    return sorted(word for word in unknown if len(word) <= _SUGGESTED_CHARACTERS_MAX)[
        :_SUGGESTIONS_MAX
    ]


def _near(candidates: Mapping[str, Collection[str]]) -> dict[str, str]:
    return {word: near for word, known in candidates.items() if (near := nearest(word, known))}
