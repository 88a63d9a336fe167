"""Whether this process lives, and whether it can serve."""

import asyncio
from functools import cache

from alembic.script import ScriptDirectory
from redis.exceptions import RedisError
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from billing.runtime import Runtime
from migrations import config_for
from web.metrics import metrics

_CHECK_SECONDS_MAX = 3


async def healthz(_request: Request) -> Response:
    """The process answers. Says nothing of what it depends on, so nobody restarts it for that."""
    return PlainTextResponse("ok")


async def readyz(request: Request) -> Response:
    """Ready when the database answers and is migrated. Redis away only costs freshness."""
    runtime: Runtime = request.state.runtime
    database, redis = await asyncio.gather(_database(runtime), _redis(runtime))
    checks = {"database": database, "redis": redis}
    return JSONResponse(checks, 200 if database == "ok" else 503)


async def _database(runtime: Runtime) -> str:
    try:
        async with asyncio.timeout(_CHECK_SECONDS_MAX), runtime.sessions() as session:
            migrated = await session.scalar(text("SELECT version_num FROM alembic_version"))
    except (SQLAlchemyError, OSError, TimeoutError):
        return "unreachable or never migrated"
    return f"at migration {migrated}, needs {_head()}" if _is_behind(migrated) else "ok"


async def _redis(runtime: Runtime) -> str:
    try:
        async with asyncio.timeout(_CHECK_SECONDS_MAX):
            await runtime.nudges.redis.ping()
    except (RedisError, OSError, TimeoutError):
        return "degraded"
    return "ok"


def _is_behind(migrated: str | None) -> bool:
    """A revision we do not know is a later release's: while one rolls out, we still serve."""
    return migrated is None or migrated in _revisions() - {_head()}


@cache
def _revisions() -> frozenset[str]:
    return frozenset(script.revision for script in _scripts().walk_revisions())


def _head() -> str | None:
    return _scripts().get_current_head()


@cache
def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(config_for(""))


routes = [
    Route("/healthz", healthz),
    Route("/readyz", readyz),
    Route("/metrics", metrics),
]
