"""`POST /graphql`: who asks, what is asked, and the answer with the right status and media type."""

import logging
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError
from strawberry.types import ExecutionResult
from strawberry.types.graphql import OperationType

from api.auth import viewer_of
from api.context import Context
from api.errors import AWAY_MESSAGE, MASKED_MESSAGE, ErrorCode, code_of, refusal, shown
from api.origins import refuse_cross_site
from api.problems import BadRequest, headers_of, require_post, status_of
from api.requests import LEGACY_TYPE, GraphQLRequest, read_request, response_type
from api.schema import schema
from billing.accounts import Viewer
from billing.errors import BillingError, Unauthenticated, Unavailable
from billing.ids import new_id
from billing.outages import is_database_away
from billing.runtime import Runtime

log = logging.getLogger(__name__)

_OPERATIONS = (OperationType.QUERY, OperationType.MUTATION)


async def graphql(request: Request) -> Response:
    """Every answer has our error format and a request id, whatever went wrong."""
    request_id = new_id().hex
    try:
        return await _answer(request, request_id)
    except BillingError as error:
        return _refused(request, error, request_id)
    except Exception as error:
        if is_database_away(error):
            return _refused(request, Unavailable(AWAY_MESSAGE), request_id)
        log.exception("request %s", request_id)
        masked = refusal(ErrorCode.INTERNAL, MASKED_MESSAGE, request_id)
        return _response(request, {"errors": [masked]}, 500, request_id)


async def _answer(request: Request, request_id: str) -> Response:
    require_post(request, guide="docs/graphql.md")
    runtime: Runtime = request.state.runtime
    viewer = await _viewer(request, runtime)
    asked = await read_request(request)
    context = Context(runtime, viewer, await runtime.now())
    result = await _execute(asked, context)
    body: dict[str, Any] = {}
    if result.errors:
        body["errors"] = [shown(error, request_id) for error in result.errors]
    is_request_error = result.data is None and all(x.path is None for x in result.errors or ())
    if not is_request_error:
        body["data"] = result.data
    if result.extensions:
        body["extensions"] = result.extensions
    is_bad = is_request_error and response_type(request) != LEGACY_TYPE
    return _response(request, body, 400 if is_bad else 200, request_id)


async def _viewer(request: Request, runtime: Runtime) -> Viewer:
    refuse_cross_site(request, runtime.settings.base_url)
    viewer = await viewer_of(request)
    if viewer is None:
        raise Unauthenticated("Send an API key (Authorization: Bearer ssk_…), or sign in.")
    return viewer


async def _execute(asked: GraphQLRequest, context: Context) -> ExecutionResult:
    try:
        return await schema.execute(
            asked.query,
            variable_values=asked.variables,
            context_value=context,
            operation_name=asked.operation_name,
            allowed_operation_types=_OPERATIONS,
        )
    except CannotGetOperationTypeError as error:
        raise BadRequest(error.as_http_error_reason(), field="operationName") from None
    except InvalidOperationTypeError:
        raise BadRequest("Only queries and mutations can be sent here.", field="query") from None


def _refused(request: Request, error: BillingError, request_id: str) -> Response:
    entry = refusal(code_of(error), str(error), request_id, reason=error.code)
    response = _response(request, {"errors": [entry]}, status_of(error), request_id)
    response.headers.update(headers_of(error))
    return response


def _response(request: Request, body: dict[str, Any], status: int, request_id: str) -> Response:
    headers = {"X-Request-Id": request_id, "Cache-Control": "no-store", "Vary": "Accept"}
    media_type = f"{response_type(request)}; charset=utf-8"
    return Response(msgspec.json.encode(body), status, headers, media_type)
