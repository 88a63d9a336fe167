"""Refusals as RFC 9457 problems: what every plain HTTP endpoint for machines answers."""

import json
from collections.abc import Awaitable, Callable, Mapping
from functools import wraps
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response

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

Endpoint = Callable[[Request], Awaitable[Response]]

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
"""What a route takes that refuses all but POST in its own words."""

PROBLEM_TYPE = "application/problem+json"


class BadRequest(Invalid):
    """The request as a whole cannot be read."""

    code = "BAD_REQUEST"


class BodyTooLarge(Invalid):
    """More than one request may carry."""

    code = "BODY_TOO_LARGE"


class UnsupportedMediaType(Invalid):
    """A format or encoding we do not read."""

    code = "UNSUPPORTED_MEDIA_TYPE"


class MethodNotAllowed(Invalid):
    """This address takes POST only."""

    code = "METHOD_NOT_ALLOWED"


_STATUSES: Mapping[type[BillingError], HTTPStatus] = {
    BadRequest: HTTPStatus.BAD_REQUEST,
    BodyTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    UnsupportedMediaType: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    MethodNotAllowed: HTTPStatus.METHOD_NOT_ALLOWED,
    NotFound: HTTPStatus.NOT_FOUND,
    Invalid: HTTPStatus.UNPROCESSABLE_ENTITY,
    Conflict: HTTPStatus.CONFLICT,
    Forbidden: HTTPStatus.FORBIDDEN,
    Unauthenticated: HTTPStatus.UNAUTHORIZED,
    Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
}


def require_post(request: Request, *, guide: str) -> None:
    """Raises `MethodNotAllowed`, naming what to read; its route must take `METHODS`."""
    if request.method != "POST":
        raise MethodNotAllowed(f"Send a POST request here: {guide} shows how.")


def answers_problems(endpoint: Endpoint) -> Endpoint:
    """Answer this endpoint's refusals, and a database that is away, as problems."""

    @wraps(endpoint)
    async def answered(request: Request) -> Response:
        try:
            return await endpoint(request)
        except BillingError as error:
            return refusal(error)
        except DATABASE_ERRORS as error:
            if is_database_away(error):
                return refusal(Unavailable("The database is not answering; please try again."))
            raise

    return answered


def refusal(error: BillingError) -> Response:
    """The problem that says what `error` says, with the headers its status calls for."""
    status = status_of(error)
    told = {"field": error.field, "did_you_mean": getattr(error, "did_you_mean", None)}
    members = {name: value for name, value in told.items() if value}
    return problem(status, error.code, str(error), members, headers_of(error))


def problem(
    status: HTTPStatus,
    code: str,
    detail: str,
    members: Mapping[str, object],
    headers: Mapping[str, str] | None = None,
) -> Response:
    """One problem, with what else its code carries.

    The type is `about:blank` (RFC 9457 §4.2.1): our stable `code` says more.
    """
    body = {
        "type": "about:blank",
        "title": status.phrase,
        "status": status.value,
        "detail": detail,
        "code": code,
        **members,
    }
    return Response(json.dumps(body), status, headers=dict(headers or {}), media_type=PROBLEM_TYPE)


def status_of(error: BillingError) -> HTTPStatus:
    """The status its kind is answered with, at every edge for machines."""
    if isinstance(error, Unavailable) and error.is_rate_limit:
        return HTTPStatus.TOO_MANY_REQUESTS
    for kind in type(error).__mro__:
        if kind in _STATUSES:
            return _STATUSES[kind]
    raise error


def headers_of(error: BillingError) -> dict[str, str]:
    """What its status calls for: how to sign in, what to send, when to come back."""
    if isinstance(error, Unauthenticated):
        return {"WWW-Authenticate": "Bearer"}
    if isinstance(error, MethodNotAllowed):
        return {"Allow": "POST"}
    if isinstance(error, Unavailable):
        return {"Retry-After": str(max(1, round(error.retry_after.total_seconds())))}
    return {}
