"""A request's body, read no further than it may be long."""

from collections.abc import Callable

from starlette.requests import Request

from api.problems import BadRequest, BodyTooLarge, UnsupportedMediaType


async def read_body(
    request: Request,
    bytes_max: int,
    *,
    advice: str,
    on_undeclared: Callable[[int], None] | None = None,
) -> bytes:
    """Raises `UnsupportedMediaType`, `BodyTooLarge` with `advice`, or `BadRequest`.

    `on_undeclared` hears how many bytes came that no Content-Length had announced, and may refuse.
    """
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise UnsupportedMediaType("Send the body without a Content-Encoding.")
    declared = declared_bytes(request)
    if declared > bytes_max:
        raise _too_large(bytes_max, advice)
    chunks: list[bytes] = []
    size = 0
    has_more = True
    while has_more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise BadRequest("The body ended early.")
        chunks.append(chunk := message.get("body", b""))
        size += len(chunk)
        if size > bytes_max:
            raise _too_large(bytes_max, advice)
        if on_undeclared and not declared:
            on_undeclared(len(chunk))
        has_more = message.get("more_body", False)
    return b"".join(chunks)


def declared_bytes(request: Request) -> int:
    """What Content-Length says; 0 where the length is not known beforehand."""
    declared = request.headers.get("content-length", "")
    return int(declared) if declared.isdecimal() else 0


def _too_large(bytes_max: int, advice: str) -> BodyTooLarge:
    return BodyTooLarge(f"A request may have {bytes_max:,} bytes: {advice}.")
