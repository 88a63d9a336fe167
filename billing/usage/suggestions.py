"""What an unknown name may have meant, among a bounded number of names that may be told."""

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import Text, column, func, literal, select, union_all
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from billing.accounts import Viewer
from billing.models import Organization
from billing.names import nearest

_SUGGESTIONS_MAX = 10
_SUGGESTED_CHARACTERS_MAX = 64
_NEIGHBOURS = 20


async def near_organizations(
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


def near_event_types(unknown: Collection[str], known: Collection[str]) -> dict[str, str]:
    """The catalogue is the same for everybody, so any of its types may be suggested."""
    return _near(dict.fromkeys(_asked(unknown), known))


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
