"""What a demo needs before anything may run on its database: the schema, the data, two keys."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from alembic import command

from billing.api_keys import NewKey, create_key, viewer_for_key
from billing.errors import Unauthenticated
from billing.models import Scope
from billing.runtime import Runtime, open_runtime
from billing.settings import Settings
from migrations import config_for
from sandbox import keepsakes
from sandbox.seed import SAID, Seeded, refuse_foreign, seed
from sandbox.seed.cast import ACTOR

_SIMULATORS_SCOPES = (Scope.USAGE_WRITE,)
_APPS_SCOPES = (Scope.USAGE_WRITE, Scope.USAGE_READ, Scope.BILLING_READ, Scope.BILLING_WRITE)


@dataclass(frozen=True, slots=True)
class Ready:
    """What became of the seed, and the keys of the simulator and of whoever plays with the demo."""

    seeded: Seeded
    simulators_key: str
    apps_key: str

    @property
    def said(self) -> str:
        """For whoever waits."""
        return SAID[self.seeded]


def migrate(settings: Settings) -> None:
    """Bring the database to the newest schema. Not inside an event loop: Alembic runs its own."""
    command.upgrade(config_for(settings.database_url), "head")


async def refuse(settings: Settings) -> None:
    """Raise `ForeignData` before anything is done to somebody's database."""
    async with open_runtime(settings) as runtime:
        await refuse_foreign(runtime)


async def fill(settings: Settings) -> Ready:
    """Seed a migrated database if need be."""
    async with open_runtime(settings) as runtime:
        return Ready(
            await seed(runtime),
            await _working_key(runtime, "simulator", _SIMULATORS_SCOPES),
            await _working_key(runtime, "your own apps", _APPS_SCOPES),
        )


async def _working_key(runtime: Runtime, name: str, scopes: Sequence[Scope]) -> str:
    """Last time's, as long as the database knows it."""
    now = await runtime.now()
    if known := keepsakes.find(name):
        with suppress(Unauthenticated):
            await viewer_for_key(runtime, known, now)
            return known
    async with runtime.sessions.begin() as session:
        _, token = await create_key(session, NewKey(name, scopes), actor=ACTOR, now=now)
    keepsakes.keep(name, token)
    return token
