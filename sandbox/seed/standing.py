"""What a database holds already: nothing, this demo, another version of it, or something else."""

import hashlib
from datetime import datetime
from enum import Enum, auto

from sqlalchemy import exists, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from billing.audit import record_act
from billing.models import AuditEntry, Base, Organization
from billing.settings import Settings
from sandbox.seed.cast import ACTOR
from sandbox.toolchain import REPOSITORY

_BEGUN = "sandbox.seeding"
_DONE = "sandbox.seeded"
_SOURCES = ("sandbox/seed", "sandbox/stripe", "sandbox/fleet.py", "sandbox/price_book.yaml")


class Standing(Enum):
    """How a database stands to the demo."""

    EMPTY = auto()
    SEEDED = auto()
    STALE = auto()  # the demo's, of another version, or left half done
    FOREIGN = auto()


def version(settings: Settings) -> str:
    """Changes with whatever shapes the demo's data: our sources, and whose Stripe has it too."""
    digest = hashlib.sha256()
    for source in _SOURCES:
        place = REPOSITORY / source
        files = sorted(place.rglob("*.py")) if place.is_dir() else [place]
        for file in files:
            digest.update(file.read_bytes())
    stripe = "fake" if settings.stripe_api_base else "real"
    return f"{digest.hexdigest()[:12]}, {stripe} Stripe"


async def standing(session: AsyncSession, settings: Settings) -> Standing:
    """Looks before anything is migrated, so it asks for the tables first."""
    if not await session.scalar(select(text("to_regclass('organizations') IS NOT NULL"))):
        return Standing.EMPTY
    if not await session.scalar(select(text("to_regclass('audit_entries') IS NOT NULL"))):
        return Standing.FOREIGN
    acts = await session.execute(
        select(AuditEntry.action, AuditEntry.subject).where(AuditEntry.action.in_((_BEGUN, _DONE)))
    )
    marks = {(action, subject) for action, subject in acts}
    if (_DONE, version(settings)) in marks:
        return Standing.SEEDED
    if marks:
        return Standing.STALE
    is_used = await session.scalar(select(exists().select_from(Organization)))
    return Standing.FOREIGN if is_used else Standing.EMPTY


async def mark_begun(session: AsyncSession, settings: Settings, now: datetime) -> None:
    """From here on the data is known to be the demo's."""
    await record_act(session, actor=ACTOR, action=_BEGUN, subject=version(settings), now=now)


async def mark_done(session: AsyncSession, settings: Settings, now: datetime) -> None:
    """The whole seed is there."""
    await record_act(session, actor=ACTOR, action=_DONE, subject=version(settings), now=now)


async def wipe(connection: AsyncConnection) -> None:
    """Remove everything from every table of the product."""
    tables = ", ".join(table.name for table in Base.metadata.sorted_tables)
    await connection.execute(text(f"TRUNCATE {tables}"))
