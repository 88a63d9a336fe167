"""`stripe-sync` as an operator runs it, on the test's own database."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from click.testing import CliRunner, Result
from sqlalchemy.ext.asyncio import AsyncEngine

from billing.clock import wall_time
from billing.models import ClockOffset
from billing.runtime import Runtime
from cli import main
from tests.billing.conftest import connected, fake
from tests.world import Clock

__all__ = ["connected", "fake"]
StripeSync = Callable[..., Awaitable[Result]]


@pytest.fixture
def environ(engine: AsyncEngine) -> dict[str, str]:
    """All that the commands under test need set; nobody listens at the Redis."""
    return {
        "ENVIRONMENT": "test",
        "DATABASE_URL": engine.url.render_as_string(hide_password=False),
        "REDIS_URL": "redis://127.0.0.1:9",
        "STRIPE_API_KEY": "sk_test_local",
        "SECRET_KEY": "a-secret-for-tests-that-is-long-enough",
    }


@pytest.fixture
def stripe_sync(environ: dict[str, str]) -> StripeSync:
    """Run one command line with `environ` as it is then."""
    names = tuple(environ)

    async def run(*arguments: str, stdin: str | None = None) -> Result:
        runner = CliRunner(env={name: environ.get(name) for name in names})
        # In a thread: the command runs an event loop of its own.
        return await asyncio.to_thread(runner.invoke, main, arguments, input=stdin)

    return run


async def on_the_tests_clock(runtime: Runtime, environ: dict[str, str], clock: Clock) -> None:
    """Let commands read the test's time, and speak to the test's Stripe: as in the sandbox."""
    environ["ENVIRONMENT"] = "sandbox"
    environ["STRIPE_API_BASE"] = str(runtime.settings.stripe_api_base)
    async with runtime.sessions.begin() as session:
        await session.merge(ClockOffset(id=1, ahead=clock.at - wall_time()))
