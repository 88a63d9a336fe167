"""Forms that only our own pages can send: each carries a token of the browser it was shown to.

The token is an HMAC over the session cookie, or before sign-in over a visitor cookie, so it cannot
be made without SECRET_KEY nor used in another browser. A fresh nonce in each keeps compressed pages
from telling it (BREACH). OWASP, Cross-Site Request Forgery Prevention: signed double-submit cookie.
"""

import hashlib
import hmac
import secrets

from starlette.requests import Request
from starlette.responses import Response

from billing.errors import Forbidden, Invalid
from billing.runtime import Runtime
from web.cookies import SESSION, VISITOR, set_cookie

FIELD = "csrf_token"
FORM_BYTES_MAX = 64 * 1024
_NONCE_BYTES = 12


class ForeignForm(Forbidden):
    """A form that was not sent from a page we showed this browser."""

    code = "CSRF"


def csrf_token(request: Request) -> str:
    """For a hidden field of every form on the page."""
    nonce = secrets.token_urlsafe(_NONCE_BYTES)
    return f"{nonce}.{_signature(request, nonce)}"


def remember_visitor(request: Request, response: Response) -> None:
    """Give a signed-out browser the cookie its form's token was made for."""
    if visitor := getattr(request.state, "visitor", None):
        set_cookie(request, response, VISITOR, visitor)


async def check_form(request: Request) -> None:
    """Refuse a form from elsewhere. Raises `ForeignForm`, or `Invalid` for one that is too big."""
    length = request.headers.get("content-length", "")
    if not length.isdecimal() or int(length) > FORM_BYTES_MAX:
        raise Invalid("This form is larger than any of ours.", code="FORM_TOO_LARGE")
    given = (await request.form()).get(FIELD)
    nonce, _, signature = given.partition(".") if isinstance(given, str) else ("", "", "")
    is_ours = hmac.compare_digest(signature.encode(), _signature(request, nonce).encode())
    if not is_ours or request.headers.get("sec-fetch-site") == "cross-site":
        raise ForeignForm("This form is out of date. Go back, reload the page and send it again.")


def _signature(request: Request, nonce: str) -> str:
    runtime: Runtime = request.state.runtime
    message = f"csrf:{_browser(request)}:{nonce}"
    key = runtime.settings.secret_key.encode()
    return hmac.new(key, message.encode(), hashlib.sha256).hexdigest()


def _browser(request: Request) -> str:
    """What tells this browser from others; made up and remembered when it is new to us."""
    known = request.cookies.get(SESSION) or request.cookies.get(VISITOR)
    if not known and not hasattr(request.state, "visitor"):
        request.state.visitor = secrets.token_urlsafe(32)
    return known or str(request.state.visitor)
