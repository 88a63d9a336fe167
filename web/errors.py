"""Refusals and failures as people see them: what happened, what it does not touch, what to do."""

import json
import logging
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ExceptionHandler

from billing.errors import (
    BillingError,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    Unauthenticated,
    Unavailable,
)
from billing.outages import DATABASE_ERRORS, is_database_away
from web.rendering import render
from web.security import HEADERS

log = logging.getLogger(__name__)

_STATUSES = {
    NotFound: HTTPStatus.NOT_FOUND,
    Invalid: HTTPStatus.UNPROCESSABLE_ENTITY,
    Conflict: HTTPStatus.CONFLICT,
    Forbidden: HTTPStatus.FORBIDDEN,
    Unauthenticated: HTTPStatus.UNAUTHORIZED,
    Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
}
_TITLES = {
    HTTPStatus.UNAUTHORIZED: "Sign in first",
    HTTPStatus.FORBIDDEN: "This is not yours to do",
    HTTPStatus.NOT_FOUND: "There is nothing here",
    HTTPStatus.METHOD_NOT_ALLOWED: "This address cannot be used that way",
    HTTPStatus.CONFLICT: "That contradicts what is recorded",
    HTTPStatus.UNPROCESSABLE_ENTITY: "That cannot be used as it is",
    HTTPStatus.SERVICE_UNAVAILABLE: "We are out of reach for a moment",
    HTTPStatus.INTERNAL_SERVER_ERROR: "This page failed",
}
_AWAY = (
    "Our database does not answer. Your usage is still being collected, and nothing you owe has"
    " changed. Please try again in a minute."
)
_BROKEN = (
    "The fault is ours and has been recorded. Nothing you owe has changed by it. Please try again;"
    " if it stays, tell us what you wanted to see."
)
_MACHINE_PATHS = ("/graphql", "/webhooks/")


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, BillingError)
    kind = next(kind for kind in type(error).__mro__ if kind in _STATUSES)
    return _answer(request, _STATUSES[kind], error.code, str(error))


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    response = _answer(request, status, status.name, f"{status.description or status.phrase}.")
    response.headers.update(error.headers or {})
    return response


async def _away(request: Request, error: Exception) -> Response:
    if not is_database_away(error):
        raise error  # it did answer: our statement is wrong
    log.error("the database does not answer: %s", error)
    return _answer(request, HTTPStatus.SERVICE_UNAVAILABLE, Unavailable.code, _AWAY)


async def _broken(request: Request, _error: Exception) -> Response:
    """Starlette raises the error on after this answer, so the server logs it with its trace."""
    response = _answer(request, HTTPStatus.INTERNAL_SERVER_ERROR, "INTERNAL", _BROKEN)
    response.headers.update(HEADERS)  # our middleware is inside of whoever called us
    return response


def _answer(request: Request, status: HTTPStatus, code: str, words: str) -> Response:
    """A page for people, JSON for scripts, a problem in the API; for htmx and streams plain text.

    Never a page within a page.
    """
    path = request.url.path
    if path.startswith("/api/"):
        return _problem(status, code, words)
    if path.endswith(".json") or path.startswith(_MACHINE_PATHS):
        return JSONResponse({"code": code, "message": words}, status)
    if path.endswith("/stream") or "hx-request" in request.headers:
        return PlainTextResponse(words, status)
    title = _TITLES.get(status, status.phrase)
    return render(request, "error.html", status=status, title=title, words=words, code=code)


def _problem(status: HTTPStatus, code: str, words: str) -> Response:
    """As the API's own refusals are (RFC 9457)."""
    body = {"type": "about:blank", "title": status.phrase, "status": status.value}
    told = json.dumps({**body, "detail": words, "code": code})
    return Response(told, status, media_type="application/problem+json")


HANDLERS: dict[type[Exception] | int, ExceptionHandler] = {
    BillingError: _refused,
    HTTPException: _http,
    **dict.fromkeys(DATABASE_ERRORS, _away),
    Exception: _broken,
}
