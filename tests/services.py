"""PostgreSQL, Redis and Chromium for the tests: those the environment names, else our own.

The pytest that the user started brings the servers up; its workers share them, each with a
database and a Redis number to itself, dropped at the end.
"""

import asyncio
import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import pytest

from sandbox import chromium
from sandbox.databases import drop_database, fresh_database
from sandbox.lifeline import stop_with_make
from sandbox.services import Services, services
from sandbox.toolchain import SetupError


class Shared:
    """The servers of one test run, started when first asked for."""

    def __init__(self) -> None:
        self._open = ExitStack()
        self._found: Services | None = None

    def found(self) -> Services:
        """Where they answer."""
        if self._found is None:
            given = services(
                kept=False,
                database_url=os.environ.get("DATABASE_URL"),  # noqa: TID251 - the runner's choice
                redis_url=os.environ.get("REDIS_URL"),  # noqa: TID251 - the runner's choice
            )
            self._found = self._open.enter_context(given)
        return self._found

    def close(self) -> None:
        """End those that are our own."""
        self._open.close()


SHARED = pytest.StashKey[Shared]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[SHARED] = Shared()
    if not hasattr(config, "workerinput"):
        stop_with_make()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    node.workerinput["services"] = asdict(node.config.stash[SHARED].found())


def pytest_unconfigure(config: pytest.Config) -> None:
    config.stash[SHARED].close()


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The one event loop that we run on in production."""
    return "asyncio"


@pytest.fixture(scope="session")
def shared_services(pytestconfig: pytest.Config) -> Services:
    """The servers that all workers of this run share."""
    lent = getattr(pytestconfig, "workerinput", None)
    return Services(**lent["services"]) if lent else pytestconfig.stash[SHARED].found()


@pytest.fixture(scope="session")
def database_url(shared_services: Services) -> Iterator[str]:
    """An empty database of this worker's own."""
    name = f"stripe_sync_test_{uuid4().hex}"
    yield asyncio.run(fresh_database(shared_services.database_url, name))
    asyncio.run(drop_database(shared_services.database_url, name))


@pytest.fixture(scope="session")
def redis_url(shared_services: Services, worker_number: int) -> str:
    """A Redis database of this worker's own, counted from the one given; tests may empty it."""
    url = urlsplit(shared_services.redis_url)
    number = int(url.path.strip("/") or 0) + worker_number
    return urlunsplit(url._replace(path=f"/{number}"))


@pytest.fixture(scope="session")
def worker_number(pytestconfig: pytest.Config) -> int:
    """0, 1, … for the workers of a run; 0 without any."""
    lent = getattr(pytestconfig, "workerinput", None)
    return int(lent["workerid"].removeprefix("gw")) if lent else 0


@pytest.fixture(scope="session")
def chromium_path() -> Iterator[str]:
    """A Chromium that starts; a test without one fails, for skipping would hide it."""
    try:
        path = chromium.require()
    except SetupError as error:
        pytest.fail(str(error), pytrace=False)
    with pytest.MonkeyPatch.context() as environment:
        for name, value in chromium.driver_settings().items():
            environment.setenv(name, value)
        yield path
