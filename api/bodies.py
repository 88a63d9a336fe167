"""A request's body, read no further than it may be long."""

from starlette.requests import ClientDisconnect, Request

from api.problems import BadRequest, BodyTooLarge, UnsupportedMediaType


async def read_body(request: Request, bytes_max: int, *, advice: str) -> bytes:
    """Raises `UnsupportedMediaType`, `BodyTooLarge` with `advice`, or `BadRequest`."""
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise UnsupportedMediaType("Send the body without a Content-Encoding.")
    too_large = BodyTooLarge(f"A request may have {bytes_max:,} bytes: {advice}.")
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > bytes_max:
        raise too_large
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > bytes_max:
                raise too_large
    except ClientDisconnect:
        raise BadRequest("The body ended early.") from None
    return bytes(body)
