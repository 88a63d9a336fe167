"""Refusals as RFC 9457 problems, and telling a database that is away from a bug."""

import json
from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from starlette.requests import Request
from starlette.responses import Response

from api.problems import (
    BadRequest,
    BodyTooLarge,
    UnsupportedMediaType,
    answers_problems,
    refusal,
)
from billing.accounts import OrganizationNotFound
from billing.errors import (
    BillingError,
    Conflict,
    Forbidden,
    Invalid,
    Unauthenticated,
    Unavailable,
)
from billing.outages import is_database_away
from billing.runtime import Runtime

IN_A_MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("error", "status", "headers"),
    [
        (BadRequest("no"), 400, {}),
        (Unauthenticated("no"), 401, {"www-authenticate": "Bearer"}),
        (Forbidden("no"), 403, {}),
        (OrganizationNotFound(), 404, {}),
        (Conflict("no", code="IDEMPOTENCY_CONFLICT"), 409, {}),
        (BodyTooLarge("no"), 413, {}),
        (UnsupportedMediaType("no"), 415, {}),
        (Invalid("no", field="key"), 422, {}),
        (Unavailable("no", retry_after=IN_A_MINUTE), 503, {"retry-after": "60"}),
        (
            Unavailable("no", retry_after=timedelta(0), is_rate_limit=True),
            429,
            {"retry-after": "1"},
        ),
    ],
)
def test_each_kind_has_its_status_and_headers(
    error: BillingError, status: int, headers: dict[str, str]
) -> None:
    answer = refusal(error)

    assert answer.status_code == status
    assert answer.media_type == "application/problem+json"
    assert headers.items() <= dict(answer.headers).items()
    told = json.loads(bytes(answer.body))
    assert (told["status"], told["detail"], told["code"]) == (status, str(error), error.code)
    assert told.get("field") == error.field


async def test_a_connection_that_is_ended_is_passing_and_a_bug_is_not(runtime: Runtime) -> None:
    failures = {}
    for statement in ("SELECT pg_terminate_backend(pg_backend_pid())", "SELECT nonsense"):
        async with runtime.sessions() as session:
            with pytest.raises(DBAPIError) as failure:
                await session.execute(text(statement))
        failures[statement] = is_database_away(failure.value)

    assert list(failures.values()) == [True, False]


async def test_a_bug_is_not_told_as_an_outage(runtime: Runtime) -> None:
    @answers_problems
    async def broken(request: Request) -> Response:
        async with runtime.sessions() as session:
            await session.execute(text("SELECT nonsense"))
        return Response()

    with pytest.raises(DBAPIError):
        await broken(Request({"type": "http"}))
