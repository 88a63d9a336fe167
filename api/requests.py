"""A GraphQL request over HTTP, read and checked before anything is executed.

Source: GraphQL over HTTP (https://graphql.github.io/graphql-over-http/), POST only.
"""

import re
from decimal import Decimal

import msgspec
from starlette.requests import Request

from api.bodies import read_body
from api.limits import QUERY_CHARACTERS_MAX
from api.problems import BadRequest, UnsupportedMediaType

BODY_BYTES_MAX = 2 * 1024 * 1024
"""Room for a full batch of usage events; larger ones go to `POST /api/v1/events`."""

RESPONSE_TYPE = "application/graphql-response+json"
LEGACY_TYPE = "application/json"

_NUL = re.compile(rb"\\u(0000|\{0+\})")
"""As JSON and GraphQL write it; raw it is no JSON."""


class GraphQLRequest(msgspec.Struct, frozen=True, rename="camel"):
    """One operation. Numbers in `variables` are ints and Decimals: no float is ever made."""

    query: str
    variables: dict[str, object] | None = None
    operation_name: str | None = None


_DECODER = msgspec.json.Decoder(GraphQLRequest, float_hook=Decimal)


def response_type(request: Request) -> str:
    """The GraphQL media type, unless only plain JSON is named as acceptable.

    Plain JSON too for whatever is no POST: a browser shows that, and saves the other to a file.
    """
    if request.method != "POST":
        return LEGACY_TYPE
    accepted = request.headers.get("accept", "*/*")
    named = {part.split(";")[0].strip().lower() for part in accepted.split(",")}
    return LEGACY_TYPE if LEGACY_TYPE in named and RESPONSE_TYPE not in named else RESPONSE_TYPE


async def read_request(request: Request) -> GraphQLRequest:
    """Raises `UnsupportedMediaType`, `BodyTooLarge` or `BadRequest`, saying what to send."""
    content_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if content_type != LEGACY_TYPE:
        raise UnsupportedMediaType("Send a JSON object as Content-Type: application/json.")
    body = await read_body(
        request, BODY_BYTES_MAX, advice="send more usage at once to POST /api/v1/events"
    )
    return _decoded(body)


def _decoded(body: bytes) -> GraphQLRequest:
    if _NUL.search(body):  # PostgreSQL takes it in no text
        raise BadRequest("The request contains the character U+0000.")
    try:
        decoded = _DECODER.decode(body)
    except RecursionError:
        raise BadRequest("The JSON is nested too deeply.") from None
    except ValueError as error:
        raise BadRequest(
            f"The body must be a JSON object with `query` and perhaps `variables`: {error}."
        ) from None
    if not decoded.query.strip():
        raise BadRequest("`query` is empty.", field="query")
    if len(decoded.query) > QUERY_CHARACTERS_MAX:
        raise BadRequest(
            f"`query` has {len(decoded.query)} characters; {QUERY_CHARACTERS_MAX} are allowed."
            " Send values as `variables`.",
            field="query",
        )
    return decoded
