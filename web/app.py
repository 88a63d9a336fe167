"""The composition root: one ASGI application of pages, API and webhooks."""

import gc
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from functools import partial
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import BaseRoute, Mount

from api.app import api_routes, usage_route
from billing.runtime import Runtime, open_runtime
from billing.settings import Settings, load_settings
from web import (
    dashboard,
    health,
    invoices,
    lines,
    maximum,
    ops,
    ops_books,
    ops_closing,
    ops_webhooks,
    organizations,
    sign_in,
)
from web.assets import Assets
from web.errors import HANDLERS
from web.live import Live
from web.metrics import RequestMetrics
from web.security import SecurityHeaders, headers_of_site
from web.shortcut import Shortcut


def app_factory() -> Starlette:
    """For `uvicorn --factory`: everything from the environment. Raises `SettingError`."""
    return create_app(load_settings())


def create_app(given: Settings | Runtime, more_routes: Sequence[BaseRoute] = ()) -> Starlette:
    """The application; it opens its own Runtime from settings, or uses the one given.

    `more_routes` is for what is not the product's: the sandbox's demo controls.
    """
    settings = given.settings if isinstance(given, Runtime) else given
    return Starlette(
        routes=[
            *health.routes,
            *sign_in.routes(is_sandbox=settings.is_sandbox),
            *organizations.routes,
            *dashboard.routes,
            *invoices.routes,
            *lines.routes,
            *maximum.routes,
            *ops.routes,
            *ops_books.routes,
            *ops_closing.routes,
            *ops_webhooks.routes,
            *api_routes,
            *more_routes,
            Mount("/static", Assets(), name="static"),
        ],
        middleware=[
            Middleware(RequestMetrics),
            Middleware(
                Shortcut,
                route=usage_route,
                headers=headers_of_site(is_https=settings.is_https),
            ),
            Middleware(SecurityHeaders, is_https=settings.is_https),
            Middleware(GZipMiddleware),
        ],
        exception_handlers=HANDLERS,
        lifespan=partial(_lifespan, given),
    )


@asynccontextmanager
async def _lifespan(given: Settings | Runtime, _app: Starlette) -> AsyncIterator[dict[str, Any]]:
    async with _opened(given) as runtime:
        live = Live(runtime, partial(dashboard.take_snapshot, runtime))
        async with live.running():
            yield {"runtime": runtime, "live": live}


def _opened(given: Settings | Runtime) -> AbstractAsyncContextManager[Runtime]:
    if isinstance(given, Runtime):
        return nullcontext(given)
    _collect_garbage_rarely()
    return open_runtime(given)


def _collect_garbage_rarely() -> None:
    """What is loaded by now stays: Python need not look through it again for every 700 new objects.

    Measured: a third of the time a request of a thousand events takes, two thirds of one event's.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
