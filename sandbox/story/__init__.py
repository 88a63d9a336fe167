"""`stripe-sync story`: the demo without a person, on servers of its own that go with it."""

import asyncio
import secrets
import signal
from dataclasses import replace

from alembic import command

from billing.runtime import open_runtime
from billing.settings import load_settings
from migrations import config_for
from sandbox.deployment import Deployment, deploy, until_ready
from sandbox.embedded import free_port
from sandbox.lifeline import stop_with_make
from sandbox.seed import seed
from sandbox.services import services
from sandbox.story.scene import Scene
from sandbox.story.steps import story_of
from sandbox.story.teller import tell
from sandbox.supervisor import Child, Supervisor, print_line

_LINES_SHOWN = 30


def run() -> int:
    """Tell it, on empty servers. Answers 0 if every step is proven, else 1."""
    stop_with_make()
    print_line("A PostgreSQL, a Redis, a fake Stripe, a web and a worker, for this story alone …")
    with services(kept=False, database_url=None, redis_url=None) as found:
        command.upgrade(config_for(found.database_url), "head")
        deployment = deploy(
            found,
            {},
            secret_key=secrets.token_urlsafe(32),
            webhook_secret=f"whsec_{secrets.token_urlsafe(32)}",
            port=free_port(),
        )
        return 1 if asyncio.run(_tell(deployment)) else 0


async def _tell(deployment: Deployment) -> int:
    """The web takes longest to start, so it does while the data are made ready."""
    settings = load_settings(deployment.environ)
    said: list[str] = []
    async with (
        Supervisor([deployment.web()], said.append) as supervisor,
        open_runtime(settings) as runtime,
    ):
        await seed(runtime)
        supervisor.start([_mortal(child) for child in deployment.others()])
        await until_ready(deployment)
        async with Scene(deployment, runtime, supervisor, said) as scene:
            failed = await tell((await story_of(scene)).steps())
    if failed:
        print_line("\n".join(["", "The processes' last words:", *said[-_LINES_SHOWN:]]))
    return failed


def _mortal(child: Child) -> Child:
    """The worker is to be killed outright, not asked to end."""
    return replace(child, stop=signal.SIGKILL) if child.name == "worker" else child
