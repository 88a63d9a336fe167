"""The limit of `ingest_single`: an endpoint that reads the same JSON and says so, and no more."""

import json

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route


async def _read(request: Request) -> JSONResponse:
    json.loads(await request.body())
    return JSONResponse({"ok": True})


def app_factory() -> Starlette:
    """For `uvicorn --factory`."""
    return Starlette(routes=[Route("/api/v1/events", _read, methods=["POST"])])
