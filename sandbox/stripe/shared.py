"""`python -m sandbox.stripe.shared`: the fake Stripe of a whole sandbox.

Everything comes from the environment that web and worker have too, and nothing from arguments,
which all users of a machine can list. It goes by the sandbox's clock, remembers in its database,
answers on the port of STRIPE_API_BASE, and tells BASE_URL's webhook what happens.
"""

import asyncio
import sys
from urllib.parse import urlsplit

import uvicorn

from billing.settings import SettingError, Settings, load_settings
from sandbox.shared_clock import shared_clock
from sandbox.stripe.__main__ import PORT, TICK_S
from sandbox.stripe.app import FakeStripe
from sandbox.stripe.memory import Memory
from sandbox.stripe.server import listening
from sandbox.stripe.webhooks import Endpoint
from sandbox.stripe.world import World

WEBHOOK_PATH = "/webhooks/stripe"


def main() -> None:
    """Serve until told to stop."""
    try:
        settings = load_settings()
        base = _base(settings)
    except SettingError as error:
        sys.exit(str(error))
    asyncio.run(_serve(settings, base))


async def _serve(settings: Settings, base: str) -> None:
    memory = Memory(settings.database_url)
    world = await memory.recall() or World()
    world.base_url = base
    address = f"{settings.base_url}{WEBHOOK_PATH}"
    made_by_calls = (each for each in world.postbox.endpoints if each.created)
    ours = Endpoint(address, settings.stripe_webhook_secrets)
    world.postbox.endpoints = (ours, *made_by_calls)
    async with shared_clock(settings.database_url) as now:
        fake = FakeStripe(world, now, TICK_S, memory)
        config = uvicorn.Config(fake, log_level="warning", ws="none")
        await uvicorn.Server(config).serve(sockets=[listening(urlsplit(base).port or PORT)])


def _base(settings: Settings) -> str:
    if settings.is_sandbox and settings.stripe_api_base:
        return settings.stripe_api_base
    raise SettingError("The fake Stripe needs ENVIRONMENT=sandbox and its own STRIPE_API_BASE.")


if __name__ == "__main__":
    main()
