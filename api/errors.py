"""What a client is told when something fails: a closed list of codes, never an HTTP number.

Refusals keep their words. Anything else is our bug: masked, logged, and found again by its
request id.
"""

import logging
import re
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Any, Self

import strawberry
from graphql import GraphQLError, GraphQLSyntaxError
from strawberry.extensions import FieldExtension

from billing.errors import (
    BillingError,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    Unauthenticated,
    Unavailable,
)
from billing.outages import is_database_away

log = logging.getLogger(__name__)


@strawberry.enum(
    description="Every code an error can carry; `reason` says more where there is more."
)
class ErrorCode(StrEnum):
    """Closed: a client may switch over it."""

    UNAUTHENTICATED = "UNAUTHENTICATED"
    FORBIDDEN = "FORBIDDEN"
    NOT_FOUND = "NOT_FOUND"
    GRAPHQL_SYNTAX = "GRAPHQL_SYNTAX"
    VALIDATION = "VALIDATION"
    CONFLICT = "CONFLICT"
    COMPLEXITY = "COMPLEXITY"
    RATE_LIMITED = "RATE_LIMITED"
    UNAVAILABLE = "UNAVAILABLE"
    INTERNAL = "INTERNAL"


RETRYABLE = frozenset({ErrorCode.RATE_LIMITED, ErrorCode.UNAVAILABLE})

_CODES: dict[type[BillingError], ErrorCode] = {
    Unauthenticated: ErrorCode.UNAUTHENTICATED,
    Forbidden: ErrorCode.FORBIDDEN,
    NotFound: ErrorCode.NOT_FOUND,
    Invalid: ErrorCode.VALIDATION,
    Conflict: ErrorCode.CONFLICT,
    Unavailable: ErrorCode.UNAVAILABLE,
}
_EXPECTED = (NotFound, Invalid, Conflict)
"""What a mutation answers as data; who may not ask at all, and outages, are errors."""

AWAY_MESSAGE = "The database is not answering; please try again."
MASKED_MESSAGE = "Something went wrong on our side. Give us the requestId."


def code_of(error: BillingError) -> ErrorCode:
    """The kind of refusal; the refusal's own code is its `reason`."""
    if isinstance(error, Unavailable) and error.is_rate_limit:
        return ErrorCode.RATE_LIMITED
    return next(code for kind, code in _CODES.items() if isinstance(error, kind))


def refusal(
    code: ErrorCode, message: str, request_id: str, *, reason: str | None = None
) -> dict[str, Any]:
    """One entry of `errors`, with everything a program or a person needs to go on."""
    return {
        "message": message,
        "extensions": {
            "code": code.value,
            "reason": reason or code.value,
            "retryable": code in RETRYABLE,
            "requestId": request_id,
        },
    }


def shown(error: GraphQLError, request_id: str) -> dict[str, Any]:
    """One error of an execution, as the client sees it."""
    code, message, reason = _told(error)
    if code is ErrorCode.INTERNAL:
        log.error("request %s: %s", request_id, error, exc_info=error.original_error or error)
    entry = refusal(code, message, request_id, reason=reason)
    if error.locations:
        entry["locations"] = [place.formatted for place in error.locations]
    if error.path is not None:
        entry["path"] = error.path
    return entry


def _told(error: GraphQLError) -> tuple[ErrorCode, str, str | None]:
    original = error.original_error
    if isinstance(original, BillingError):
        return code_of(original), error.message, original.code
    if original is not None and is_database_away(original):
        return ErrorCode.UNAVAILABLE, AWAY_MESSAGE, None
    if error.path is None:
        return _told_before_running(error)
    return ErrorCode.INTERNAL, MASKED_MESSAGE, None  # a resolver failed, and not by refusing


def _told_before_running(error: GraphQLError) -> tuple[ErrorCode, str, str | None]:
    original = error.original_error
    if isinstance(error, GraphQLSyntaxError):
        return ErrorCode.GRAPHQL_SYNTAX, error.message, None
    if original is None or isinstance(original, GraphQLError):
        code = (error.extensions or {}).get("code", ErrorCode.VALIDATION)
        return ErrorCode(code), error.message, None
    if isinstance(original, ValueError):  # Python reads no whole number of over 4,300 digits
        return ErrorCode.VALIDATION, "The request has a number of too many digits.", None
    return ErrorCode.INTERNAL, MASKED_MESSAGE, None


@strawberry.type(
    description="Why a mutation did nothing, in words for a person and a code for a program."
)
class UserError:
    """An expected failure, as data."""

    code: ErrorCode = strawberry.field(description="The kind of failure.")
    reason: str = strawberry.field(description="The precise, stable code, such as INVALID_AMOUNT.")
    message: str = strawberry.field(description="What is wrong and what to do about it.")
    field: list[str] | None = strawberry.field(
        description="Path of the argument that is wrong, such as [input, amount]; null for none."
    )

    @classmethod
    def of(cls, error: BillingError) -> Self:
        """A refusal, shown."""
        path = ["input", *map(_camel, error.field.split("."))] if error.field else None
        return cls(code=code_of(error), reason=error.code, message=str(error), field=path)


def _camel(name: str) -> str:
    return re.sub(r"_([a-z])", lambda match: match[1].upper(), name)


@strawberry.interface(description="What every mutation answers.")
class Payload:
    """Either the thing itself and no errors, or null and why."""

    user_errors: list[UserError] = strawberry.field(
        default_factory=list, description="Empty when it was done; else nothing was changed."
    )


class RefusalsAsData(FieldExtension):
    """Answer `payload(user_errors=[…])` where the resolver refuses as expected."""

    def __init__(self, payload: Callable[..., Payload]) -> None:
        self._payload = payload

    async def resolve_async(
        self,
        next_: Callable[..., Awaitable[Any]],
        source: Any,  # noqa: ANN401 - Strawberry's signature
        info: strawberry.Info[Any, Any],
        **kwargs: Any,  # noqa: ANN401 - the mutation's own arguments
    ) -> Any:  # noqa: ANN401 - the payload
        """The resolver's transaction has rolled back by the time its refusal gets here."""
        try:
            return await next_(source, info, **kwargs)
        except _EXPECTED as error:
            return self._payload(user_errors=[UserError.of(error)])
