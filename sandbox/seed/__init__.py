"""The demo's data: three organizations, the people in them, and months of their history.

Made through the product's own functions, so it is what the product would have made; the same in
every run but for random ids.
"""

from datetime import UTC, datetime
from enum import Enum, auto

from billing.runtime import Runtime
from sandbox.clock import set_out
from sandbox.embedded import SandboxError
from sandbox.seed.history import beginning, play
from sandbox.seed.stage import stage_of
from sandbox.seed.standing import Standing, mark_begun, mark_done, standing, wipe

PRESENT = datetime(2026, 11, 12, 14, tzinfo=UTC)
"""When the demo begins: the middle of a month, with something to see and something to come."""


class ForeignData(SandboxError):
    """The database is somebody's: the demo keeps its hands off."""


class Seeded(Enum):
    """What became of a request to seed."""

    FRESH = auto()
    KEPT = auto()
    ANEW = auto()


SAID = {
    Seeded.FRESH: "Seeded three organizations and the months behind them.",
    Seeded.KEPT: "The data of last time are there.",
    Seeded.ANEW: "The data were of another version, or for another Stripe: seeded anew.",
}


async def refuse_foreign(runtime: Runtime) -> None:
    """Raise `ForeignData` for a database with data not the demo's. To be asked before migrating."""
    async with runtime.sessions() as session:
        if await standing(session, runtime.settings) is Standing.FOREIGN:
            raise ForeignData(
                "The database has data that are not the demo's. Give DATABASE_URL an empty one."
            )


async def seed(runtime: Runtime, *, may_replace: bool = True) -> Seeded:
    """Fill a migrated database, unless this very seed is there; another version's is replaced.

    Begins at `PRESENT`, or beside the real Stripe, whose clock cannot be moved, now.
    Raises `ForeignData`; `SandboxError` outside the sandbox, and instead of replacing.
    """
    if not runtime.settings.is_sandbox:
        raise SandboxError("Only a sandbox is seeded: set ENVIRONMENT=sandbox.")
    await refuse_foreign(runtime)
    async with runtime.sessions() as session:
        found = await standing(session, runtime.settings)
    if found is Standing.SEEDED:
        return Seeded.KEPT
    if found is Standing.STALE and not may_replace:
        raise SandboxError(
            "The demo's data of another version, or for another Stripe, are there:"
            " --anew replaces them."
        )
    if found is Standing.STALE:
        async with runtime.engine.begin() as connection:
            await wipe(connection)
    await _play(runtime)
    return Seeded.ANEW if found is Standing.STALE else Seeded.FRESH


async def _play(runtime: Runtime) -> None:
    async with runtime.sessions.begin() as session:
        if runtime.settings.stripe_api_base is None:
            present = await runtime.now()
        else:
            present = PRESENT
            await set_out(session, runtime.settings, present)
        start = beginning(present)
        await mark_begun(session, runtime.settings, start)
    async with stage_of(runtime, start) as stage:
        await play(stage, present)
    async with runtime.sessions.begin() as session:
        if runtime.settings.stripe_api_base is not None:
            await set_out(session, runtime.settings, present)  # again, for playing took a while
        await mark_done(session, runtime.settings, present)
