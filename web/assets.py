"""Our own static files, under addresses that change with their content."""

import hashlib
from functools import cache
from os import PathLike, stat_result
from pathlib import Path

from starlette.datastructures import QueryParams
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

STATIC = Path(__file__).resolve().parent / "static"
VENDOR = "vendor/"
_FOR_EVER = "public, max-age=31536000, immutable"
_ASK_AGAIN = "public, no-cache"
_DIGEST_CHARACTERS = 16


def static_url(path: str) -> str:
    """Where a page finds `path`: vendored paths carry a version, ours a digest of the content."""
    return f"/static/{path}" if path.startswith(VENDOR) else f"/static/{path}?v={_digest(path)}"


@cache
def _digest(path: str) -> str:
    content = (STATIC / path).read_bytes()
    return hashlib.sha256(content).hexdigest()[:_DIGEST_CHARACTERS]


class Assets(StaticFiles):
    """Static files that browsers keep for ever, but only under the address of this very content.

    While two releases serve side by side, the older must not have its file kept as the newer's.
    """

    def __init__(self) -> None:
        super().__init__(directory=STATIC)

    def file_response(
        self,
        full_path: str | PathLike[str],
        stat_result: stat_result,
        scope: Scope,
        status_code: int = 200,
    ) -> Response:
        """The file, or that it has not changed, with how long it may be kept."""
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers["Cache-Control"] = (
            _FOR_EVER if _is_versioned(full_path, scope) else _ASK_AGAIN
        )
        return response


def _is_versioned(full_path: str | PathLike[str], scope: Scope) -> bool:
    """By the file that was found, never by the path asked for: that may lead to it by detours."""
    path = Path(full_path).relative_to(STATIC).as_posix()
    given = QueryParams(scope["query_string"]).get("v")
    return path.startswith(VENDOR) or (given is not None and given == _digest(path))
