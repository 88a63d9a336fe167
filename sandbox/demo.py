"""`stripe-sync demo`: everything at once, with data to look at and usage that moves."""

import asyncio
from contextlib import suppress
from importlib import import_module
from types import ModuleType

from billing.settings import load_settings
from sandbox import keepsakes
from sandbox.deployment import Deployment, deploy, port_from, until_ready
from sandbox.lifeline import stop_with_make
from sandbox.services import services
from sandbox.supervisor import Supervisor, print_line
from sandbox.toolchain import environment


def run(port: int) -> None:
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
        with suppress(KeyboardInterrupt):
            asyncio.run(_serve(deployment, port))


async def _serve(deployment: Deployment, wanted_port: int) -> None:
    """The web takes longest to start, so it does while the data are made ready."""
    supervisor = Supervisor([deployment.web()])
    starting = asyncio.create_task(_start(supervisor, deployment, wanted_port))

    def stop_if_failed(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception():
            supervisor.stop()

    starting.add_done_callback(stop_if_failed)
    await supervisor.run()
    starting.cancel()
    with suppress(asyncio.CancelledError):
        await starting


def _readying() -> ModuleType:
    """Imported in a thread: it takes seconds, and the loop has a web to start."""
    return import_module("sandbox.readying")


async def _start(supervisor: Supervisor, deployment: Deployment, wanted_port: int) -> None:
    settings = load_settings(deployment.environ)
    readying = await asyncio.to_thread(_readying)
    await readying.refuse(settings)
    await asyncio.to_thread(readying.migrate, settings)
    ready = await readying.fill(settings)
    print_line(ready.said)
    supervisor.start(deployment.others(ready.simulators_key))
    await until_ready(deployment)
    keepsakes.keep_environment(deployment.environ)
    print_line(_greeting(deployment, ready.apps_key, wanted_port))


def _greeting(deployment: Deployment, key: str, wanted_port: int) -> str:
    base = deployment.base_url
    taken = f"Port {wanted_port} is taken: this is on the next one.\n\n"
    stripe = (
        f"Fake Stripe    {deployment.stripe_url}/  NOT REAL"
        if deployment.has_fake_stripe
        else "Stripe         the real one, by your test key"
    )
    return f"""
{"" if base.endswith(f":{wanted_port}") else taken}\
  Developer      {base}/orgs/acme/billing  one click: Dana, owner
  Ops            {base}/ops  one click: Olive, operations
  GraphQL        POST {base}/graphql  see docs/graphql.md
  {stripe}
  Demo controls  {base}/_demo

  A key for your own apps, on every request as `Authorization: Bearer …`:
  {key}

  For the command line, in another shell:
  . .sandbox/demo.env && .venv/bin/stripe-sync sync status

  Ctrl-C ends all of it. The data are kept for next time; `make clean` removes them.
"""
