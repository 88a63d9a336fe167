"""`stripe-sync demo`: everything at once, with data to look at and usage that moves."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from alembic import command

from billing.api_keys import NewKey, create_key, viewer_for_key
from billing.errors import Unauthenticated
from billing.models import Scope
from billing.runtime import Runtime, open_runtime
from billing.settings import Settings, load_settings
from migrations import config_for
from sandbox import keepsakes
from sandbox.deployment import Deployment, deploy, port_from, until_ready
from sandbox.embedded import SandboxError
from sandbox.lifeline import stop_with_make
from sandbox.seed import Seeded, refuse_foreign, seed
from sandbox.seed.cast import ACTOR
from sandbox.services import services
from sandbox.supervisor import Supervisor, print_line
from sandbox.toolchain import environment

PORT = 8000
_SIMULATORS_SCOPES = (Scope.USAGE_WRITE,)
_APPS_SCOPES = (Scope.USAGE_WRITE, Scope.USAGE_READ, Scope.BILLING_READ)
_SAID = {
    Seeded.FRESH: "Seeded three organizations and the months behind them.",
    Seeded.KEPT: "The data of last time are there.",
    Seeded.ANEW: "The data were another version's: seeded anew.",
}


def run(port: int = PORT) -> None:
    """Serve until Ctrl-C. Raises `SandboxError` and `SettingError`."""
    stop_with_make()
    given = environment({})
    with services(
        kept=True, database_url=given.get("DATABASE_URL"), redis_url=given.get("REDIS_URL")
    ) as found:
        deployment = deploy(
            found,
            given,
            secret_key=keepsakes.secret("secret_key"),
            webhook_secret=f"whsec_{keepsakes.secret('webhook_secret')}",
            port=port_from(port),
        )
        settings = load_settings(deployment.environ)
        asyncio.run(_refuse_foreign(settings))
        command.upgrade(config_for(found.database_url), "head")
        keys = asyncio.run(_prepare(settings))
        with suppress(KeyboardInterrupt):
            asyncio.run(_serve(deployment, *keys, wanted_port=port))


async def _refuse_foreign(settings: Settings) -> None:
    async with open_runtime(settings) as runtime:
        await refuse_foreign(runtime)


async def _prepare(settings: Settings) -> tuple[str, str]:
    """Seed, and answer the simulator's key and the one for whoever plays with it."""
    async with open_runtime(settings) as runtime:
        print_line(_SAID[await seed(runtime)])
        return (
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


async def _serve(deployment: Deployment, simulator_key: str, key: str, *, wanted_port: int) -> None:
    supervisor = Supervisor(deployment.children(simulator_key))
    greeting = asyncio.create_task(_greet(deployment, key, wanted_port))
    await supervisor.run()
    greeting.cancel()


async def _greet(deployment: Deployment, key: str, wanted_port: int) -> None:
    try:
        await until_ready(deployment)
    except SandboxError as error:
        print_line(str(error))
    else:
        print_line(_greeting(deployment, key, wanted_port))


def _greeting(deployment: Deployment, key: str, wanted_port: int) -> str:
    base = deployment.base_url
    taken = "" if base.endswith(f":{wanted_port}") else f"Port {wanted_port} is taken; see below.\n"
    stripe = (
        f"  Fake Stripe    {deployment.stripe_url}/  NOT REAL\n"
        if deployment.has_fake_stripe
        else "  Stripe         the real one, by your test key\n"
    )
    return f"""
{taken}  Developer      {base}/orgs/acme/billing  one click: Dana, owner
  Ops            {base}/ops  one click: Olive, operations
  GraphQL        {base}/graphql
{stripe}  Demo controls  {base}/_demo

  A key for your own apps, on every request as `Authorization: Bearer …`:
  {key}

  Ctrl-C ends all of it. The data are kept for next time; `make clean` removes them.
"""
