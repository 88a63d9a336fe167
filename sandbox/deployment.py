"""The processes of a whole sandbox, what each is told, and when all of them are up."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from urllib.parse import urlsplit

import httpx

from sandbox.embedded import SandboxError, free_port
from sandbox.patience import until
from sandbox.services import Services
from sandbox.supervisor import Child

HOST = "127.0.0.1"
STRIPE_PORT_OFFSET = 4000
PORTS_TRIED = 20
START_SECONDS_MAX = 60.0
STREAMS_END_SECONDS_MAX = 3
SIMULATORS_KEY = "SIMULATOR_API_KEY"


@dataclass(frozen=True, slots=True)
class Deployment:
    """What all processes are told, by environment variable, and whether Stripe is our fake."""

    environ: Mapping[str, str]
    has_fake_stripe: bool

    @property
    def base_url(self) -> str:
        """Where the pages are."""
        return self.environ["BASE_URL"]

    @property
    def stripe_url(self) -> str:
        """Where the fake Stripe answers."""
        assert self.has_fake_stripe, "Stripe is real"
        return self.environ["STRIPE_API_BASE"]

    def web(self) -> Child:
        """What pages, API and webhooks are served by, with the demo's controls beside them."""
        port = str(urlsplit(self.base_url).port)
        options = ["--factory", "--host", HOST, "--port", port, "--log-level", "warning"]
        patience = ["--timeout-graceful-shutdown", str(STREAMS_END_SECONDS_MAX)]
        return self._child("web", "uvicorn", "sandbox.web:app_factory", *options, *patience)

    def others(self, simulators_key: str | None = None) -> list[Child]:
        """All else: a simulator among them when there is a key for it."""
        children = [self._child("worker", "jobs.worker")]
        if self.has_fake_stripe:
            children.append(self._child("stripe", "sandbox.stripe.shared"))
        if simulators_key:
            simulator = self._child("simulator", "sandbox.simulator")
            told = {**self.environ, SIMULATORS_KEY: simulators_key}
            children.append(replace(simulator, env=told))
        return children

    def _child(self, name: str, module: str, *arguments: str) -> Child:
        return Child(name, [sys.executable, "-m", module, *arguments], self.environ)


def deploy(
    found: Services, given: Mapping[str, str], *, secret_key: str, webhook_secret: str, port: int
) -> Deployment:
    """A sandbox on these services. A STRIPE_API_KEY that is given means the real Stripe."""
    is_real = bool(given.get("STRIPE_API_KEY"))
    if is_real:
        wanted = ("STRIPE_API_KEY", "STRIPE_API_BASE", "STRIPE_WEBHOOK_SECRETS")
        stripe = {name: given[name] for name in wanted if given.get(name)}
    else:
        stripe = {
            "STRIPE_API_KEY": "sk_test_of_the_sandbox",
            # The same again where it is free: invoices of last time link to its pages.
            "STRIPE_API_BASE": f"http://{HOST}:{free_port(port + STRIPE_PORT_OFFSET)}",
            "STRIPE_WEBHOOK_SECRETS": webhook_secret,
        }
    environ = {
        "ENVIRONMENT": "sandbox",
        "DATABASE_URL": found.database_url,
        "REDIS_URL": found.redis_url,
        "SECRET_KEY": secret_key,
        "BASE_URL": f"http://{HOST}:{port}",
        "LOG_LEVEL": given.get("LOG_LEVEL") or "WARNING",
        **stripe,
    }
    return Deployment(environ, has_fake_stripe=not is_real)


def port_from(preferred: int) -> int:
    """`preferred` if it is free, else the next one that is."""
    for port in range(preferred, preferred + PORTS_TRIED):
        if free_port(port) == port:
            return port
    raise SandboxError(f"The ports {preferred} to {preferred + PORTS_TRIED - 1} are all taken.")


async def until_ready(deployment: Deployment) -> None:
    """Return once the web serves, and the fake Stripe with it. Raises `SandboxError`."""
    wanted = [f"{deployment.base_url}/readyz"]
    if deployment.has_fake_stripe:
        wanted.append(f"{deployment.stripe_url}/_control")
    try:
        async with httpx.AsyncClient(trust_env=False) as client:
            for url in wanted:
                await until(partial(answers, client, url), START_SECONDS_MAX)
    except TimeoutError:
        raise SandboxError(
            f"Nothing answers on {deployment.base_url}. See above for why."
        ) from None


async def answers(client: httpx.AsyncClient, url: str) -> bool:
    """Whether somebody does, and gladly."""
    try:
        return (await client.get(url)).is_success
    except httpx.HTTPError:
        return False
